#pragma once
// A list whose places are parts of what is listed: to come in and to leave
// takes no memory and no search.

namespace net {

/// A place in at most one list, which it leaves when it is destroyed.
class Link {
 public:
  Link() = default;
  ~Link() { unlink(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  bool linked() const { return next_ != nullptr; }
  void unlink() {
    if (!linked()) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = nullptr;
  }

 private:
  template <class T>
  friend class List;
  void link_before(Link& other) {
    unlink();
    previous_ = other.previous_;
    next_ = &other;
    previous_->next_ = next_->previous_ = this;
  }

  Link* previous_ = nullptr;
  Link* next_ = nullptr;  // null: in no list
};

/// Values of a class that derives from Link, in the order in which they came.
/// It owns none of them. One thread.
///
/// A loop's list of those who have more to do, though no event will say so
/// (requests of theirs are left, or bytes that an edge announced once), is one:
/// push_back() after whatever has happened to them, each_once() in every pass,
/// no sleep before it is empty.
template <class T>
class List {
 public:
  List() { head_.previous_ = head_.next_ = &head_; }
  ~List() {
    while (!empty()) front().unlink();
  }

  bool empty() const { return head_.next_ == &head_; }
  T& front() { return static_cast<T&>(*head_.next_); }
  const T& front() const { return static_cast<const T&>(*head_.next_); }

  /// Comes last, wherever it was before.
  void push_back(T& value) { static_cast<Link&>(value).link_before(head_); }

  /// Of a list in an order: comes before all at its end for which
  /// is_behind(other) holds.
  template <class Behind>
  void insert(T& value, Behind is_behind) {
    value.unlink();
    Link* next = &head_;
    while (next->previous_ != &head_ &&
           is_behind(static_cast<const T&>(*next->previous_)))
      next = next->previous_;
    static_cast<Link&>(value).link_before(*next);
  }

  /// visit(value) for all; it may not change the list.
  template <class Visit>
  void each(Visit visit) {
    for (Link* link = head_.next_; link != &head_; link = link->next_)
      visit(static_cast<T&>(*link));
  }

  /// The first for which is_wanted(value) holds; null if there is none.
  template <class Wanted>
  T* first(Wanted is_wanted) const {
    for (Link* link = head_.next_; link != &head_; link = link->next_)
      if (T& value = static_cast<T&>(*link); is_wanted(value)) return &value;
    return nullptr;
  }

  /// Takes out all who are in the list now, one after the other, for
  /// visit(value). It may put them in again, for the next time, and destroy
  /// them and others.
  template <class Visit>
  void each_once(Visit visit) {
    if (empty()) return;
    Link end;  // who comes meanwhile is put behind it
    end.link_before(head_);
    while (head_.next_ != &end) {
      T& value = front();
      value.unlink();
      visit(value);
    }
  }

 private:
  Link head_;  // its neighbours are the last and the first
};

}  // namespace net
