#include "bench/load/ranks.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>

namespace load {
namespace {

std::uint32_t part(std::uint32_t all, const Rank& rank) {
  const auto up_to = [&](std::uint64_t number) {
    return static_cast<std::uint32_t>(all * number / rank.count);
  };
  return up_to(rank.number + 1) - up_to(rank.number);
}

// In the order of their places in a tally.
template <class Any>
auto histograms(Any& outcome) {
  return std::array{&outcome.latency, &outcome.naive, &outcome.lag};
}

template <class Any>
auto counters(Any& outcome) {
  return std::array{&outcome.requests,   &outcome.completed,  &outcome.errors,
                    &outcome.wrong,      &outcome.unanswered, &outcome.flooded,
                    &outcome.slow_ended, &outcome.threads,    &outcome.cpus};
}

template <class Any>
auto times(Any& outcome) {
  return std::array{&outcome.connecting,    &outcome.warming,
                    &outcome.measuring,     &outcome.silent,
                    &outcome.silent_at_end, &outcome.busiest,
                    &outcome.delayed};
}

/// Takes a tally apart from the front.
template <class Number>
class Reader {
 public:
  explicit Reader(const std::vector<Number>& numbers) : rest_(numbers) {}
  std::span<const Number> take(std::size_t count) {
    if (count > rest_.size()) throw std::invalid_argument("a tally is short");
    const auto first = rest_.first(count);
    rest_ = rest_.subspan(count);
    return first;
  }
  Number take() { return take(1).front(); }

 private:
  std::span<const Number> rest_;
};

// What a rank says in words. None of them has a zero in it.
struct Account {
  std::string host, fault, error, object;
};

constexpr char end_of_word = '\0';

std::string to_text(const Account& account) {
  std::string text;
  for (const std::string& word :
       {account.host, account.fault, account.error, account.object})
    text += word + end_of_word;
  return text;
}

Account to_account(std::string_view text) {
  Account account;
  for (std::string* const word :
       {&account.host, &account.fault, &account.error, &account.object}) {
    *word = text.substr(0, text.find(end_of_word));
    text.remove_prefix(std::min(word->size() + 1, text.size()));
  }
  return account;
}

/// The first one's words; of one that ended because of another only if there
/// are no others.
std::string first_of(const std::vector<Account>& accounts,
                     std::string Account::* words) {
  std::string last_resort;
  for (std::size_t number = 0; number < accounts.size(); ++number) {
    const Account& account = accounts[number];
    if ((account.*words).empty()) continue;
    const std::string text = "rank " + std::to_string(number) + " (" +
                             account.host + "): " + account.*words;
    if (account.*words != others_are_not_ready) return text;
    if (last_resort.empty()) last_resort = text;
  }
  return last_resort;
}

}  // namespace

Options share(const Options& whole, const Rank& rank) {
  Options mine = whole;
  if (!mine.rank_hgrm.empty())
    mine.rank_hgrm += '.' + std::to_string(rank.number);
  if (rank.count == 1) return mine;
  if (!mine.trace.empty()) mine.trace += '.' + std::to_string(rank.number);
  mine.slow = part(mine.slow, rank);
  mine.plan = share(whole.plan, rank);
  return mine;
}

Plan share(const Plan& whole, const Rank& rank) {
  Plan plan = whole;
  if (rank.count == 1) return plan;
  if (plan.connections < rank.count)
    throw std::invalid_argument(std::to_string(plan.connections) +
                                " connections are too few for " +
                                std::to_string(rank.count) + " who ask");
  plan.connections = part(plan.connections, rank);
  plan.idle = part(plan.idle, rank);
  if (rank.number != 0) plan.flooder = 0;
  plan.rate *= static_cast<double>(plan.connections) /
               static_cast<double>(whole.connections);
  // One more than all of them, for the flooder.
  plan.first = rank.number * (whole.connections + whole.idle + 1);
  plan.seed = Random(plan.seed + rank.number).next();
  plan.together = true;
  return plan;
}

namespace {

void add(Outcome& sum, const Outcome& other) {
  for (std::size_t i = 0; i < histograms(sum).size(); ++i)
    histograms(sum)[i]->add(*histograms(other)[i]);
  for (std::size_t i = 0; i < counters(sum).size(); ++i)
    *counters(sum)[i] += *counters(other)[i];
  for (std::size_t i = 0; i < times(sum).size(); ++i)
    *times(sum)[i] = std::max(*times(sum)[i], *times(other)[i]);
  sum.cpu += other.cpu;
  sum.gaps.insert(sum.gaps.end(), other.gaps.begin(), other.gaps.end());
}

/// From an error of another's.
bool follows(const std::string& error) {
  return error == another_has_ended || error == others_are_not_ready;
}

}  // namespace

Outcome merge(const std::vector<Outcome>& all) {
  Outcome sum = all.front();
  std::vector<std::vector<std::uint16_t>> in_order{sum.in_order};
  for (auto other = all.begin() + 1; other != all.end(); ++other) {
    add(sum, *other);
    in_order.push_back(other->in_order);
    if (sum.first_error.empty() ||
        (follows(sum.first_error) && !other->first_error.empty()))
      sum.first_error = other->first_error;
  }
  for (const Outcome& outcome : all)
    if (follows(outcome.first_error) && !follows(sum.first_error)) --sum.errors;
  sum.in_order = interleave(in_order);
  return sum;
}

Tally to_tally(const Outcome& outcome) {
  Tally tally;
  for (const Histogram* const histogram : histograms(outcome)) {
    const auto counts = histogram->counts();
    tally.sums.insert(tally.sums.end(), counts.begin(), counts.end());
    tally.least.push_back(histogram->min());
    tally.greatest.push_back(histogram->max());
  }
  for (const std::uint64_t* const count : counters(outcome))
    tally.sums.push_back(*count);
  tally.sums.push_back(static_cast<std::uint64_t>(outcome.cpu));
  for (const Nanoseconds* const time : times(outcome))
    tally.greatest.push_back(*time);
  return tally;
}

Outcome to_outcome(const Tally& tally) {
  Outcome outcome;
  Reader sums(tally.sums);
  Reader least(tally.least), greatest(tally.greatest);
  for (Histogram* const histogram : histograms(outcome)) {
    const auto counts = sums.take(Histogram::size);
    histogram->assign(counts, least.take(), greatest.take());
  }
  for (std::uint64_t* const count : counters(outcome)) *count = sums.take();
  outcome.cpu = static_cast<Nanoseconds>(sums.take());
  for (Nanoseconds* const time : times(outcome)) *time = greatest.take();
  return outcome;
}

std::optional<Whole> add_up(Ranks& ranks, const Outcome& mine,
                            const std::string& fault,
                            const std::string& object) {
  if (ranks.rank().count == 1) return Whole{mine, fault};
  const Account account{ranks.rank().host, fault, mine.first_error, object};
  const auto sum = ranks.add(to_tally(mine), to_text(account));
  if (!sum) return std::nullopt;
  std::vector<Account> accounts;
  for (const std::string& text : sum->texts)
    accounts.push_back(to_account(text));
  Whole whole{to_outcome(sum->tally), first_of(accounts, &Account::fault)};
  whole.outcome.first_error = first_of(accounts, &Account::error);
  for (Account& each : accounts) whole.ranks.push_back(std::move(each.object));
  return whole;
}

}  // namespace load
