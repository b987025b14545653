#include "program/demonstration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "net/address.hpp"
#include "program/lookup.hpp"
#include "program/printer.hpp"
#include "program/sleeps.hpp"

namespace program {
namespace {

using protocol::Value;

constexpr std::array<std::pair<const char*, const char*>, 6> pairs{
    {{"apple", "red"},
     {"banana", "yellow"},
     {"cherry", "dark red"},
     {"lime", "green"},
     {"orange", "orange"},
     {"plum", "blue"}}};
constexpr int echoes = 1000;
constexpr int redirections_max = 256;  // as many as a ring can have nodes

void say(const std::string& text) { std::fputs(text.c_str(), stdout); }

std::string joined(const Command& command) {
  std::string text;
  for (const std::string& word : command) {
    if (!text.empty()) text += ' ';
    text += word.find(' ') == word.npos ? word : '"' + word + '"';
  }
  return text;
}

using Counters = std::vector<std::pair<std::string, double>>;

/// "a:1\r\nb:2\r\n..." as numbers; what is no number is left out.
Counters parse_counters(std::string_view text) {
  Counters counters;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find("\r\n"));
    text.remove_prefix(std::min(line.size() + 2, text.size()));
    const auto colon = line.find(':');
    if (colon == line.npos) continue;
    double number = 0;
    const char* end = line.data() + line.size();
    if (std::from_chars(line.data() + colon + 1, end, number).ptr == end)
      counters.emplace_back(line.substr(0, colon), number);
  }
  return counters;
}

constexpr std::string_view least = "least_", unseen = "unseen_";

/// A number of calls that were made, and not one that the model names.
bool is_counted(const std::string& name) {
  return name.starts_with("syscall_") || name.starts_with("library_");
}

double value_of(const Counters& counters, const std::string& name) {
  const auto found =
      std::ranges::find(counters, name, &Counters::value_type::first);
  return found == counters.end() ? 0 : found->second;
}

std::string decimal(double number) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.2f", number);
  return text.data();
}

/// What a request takes, call by call: counted, and the model's own claim.
struct Calls {
  double counted = 0, ideal = 0;
  bool at_least = false;  // the ideal: and as often as it asked in vain
  bool unseen = false;    // by us: the C library's own threads make it
};

void print_row(const std::string& name, const Calls& calls) {
  const std::string own = calls.unseen ? "unseen" : decimal(calls.counted);
  std::printf("  %-24s %8s %8.2f%s\n", name.c_str(), own.c_str(), calls.ideal,
              calls.at_least ? " or more" : "");
}

std::map<std::string, Calls> calls_per_request(const Counters& before,
                                               const Counters& after,
                                               int requests) {
  std::map<std::string, Calls> calls;
  for (const auto& [name, number] : after) {
    Calls& call = calls[name.substr(name.find('_') + 1)];
    if (is_counted(name))
      call.counted = (number - value_of(before, name)) / requests;
    else
      call.ideal = number;
    call.at_least |= name.starts_with(least);
    call.unseen |= name.starts_with(unseen);
  }
  // Not what a request takes: made once, or now and then.
  std::erase_if(calls, [](const auto& entry) {
    return entry.second.counted < 0.005 && entry.second.ideal == 0;
  });
  return calls;
}

/// Of the calls that a model needs it names the one first in which it waits, or
/// by which it asks.
struct Wait {
  std::string call;
  bool asks = false;
};
Wait first_ideal(const Counters& counters) {
  for (const auto& [name, number] : counters)
    if (!is_counted(name))
      return {name.substr(name.find('_') + 1), name.starts_with(least)};
  return {};
}

bool is_near(const std::string& address) {
  return address.starts_with("127.") || address.starts_with("[::1]") ||
         address.starts_with('/');
}

using Sleepers = std::map<int, Sleeper>;

/// Who fell asleep at every second request or more often: others have other
/// reasons. Where the C library makes calls in threads of its own (`library`),
/// these have the names of those who asked for them.
std::string who_slept(const Sleepers& before, const Sleepers& after,
                      const std::string& wait, bool library) {
  std::string text;
  std::size_t others = 0;
  std::set<std::string> names;
  for (const auto& [number, sleeper] : after) {
    const auto known = before.find(number);
    const auto slept = static_cast<double>(
        sleeper.sleeps - (known == before.end() ? 0 : known->second.sleeps));
    const bool is_first = names.insert(sleeper.name).second;
    if (slept < echoes / 2.)
      ++others;
    else if (library && !is_first)
      text += "  a thread of the C library fell asleep " +
              decimal(slept / echoes) + " times a request\n";
    else
      text += "  thread \"" + sleeper.name + "\" fell asleep " +
              decimal(slept / echoes) + " times a request, in " + wait + '\n';
  }
  if (after.empty()) return "";
  if (text.empty())
    return "  no thread fell asleep: they ask again and again\n";
  return text + "  its other threads, " + std::to_string(others) +
         ", slept all the while\n";
}

class Demonstration {
 public:
  Demonstration(Caller& caller, const std::string& address)
      : caller_(caller), address_(address), last_(address) {}

  bool run() {
    echo();
    introduce();
    store();
    if (in_ring_) look_up();
    clear();
    say(right_ ? "\nEvery answer was right.\n"
               : "\nNot every answer was right.\n");
    return right_;
  }

 private:
  void echo() {
    say("One request first, and what its server does for it. We ask the node "
        "at\n" +
        address_ + " and wait for each answer before we ask again:\n");
    const std::string text = "Hello, world!";
    expect({"ECHO", text}, text);
    count_calls();
  }

  // The first INFO is answered before its own send is counted, the second one
  // after its own receive: together they are one request more.
  void count_calls() {
    const auto asleep_before = sleepers_of(process());
    const Counters before = counters();
    for (int i = 0; i < echoes; ++i) {
      const std::string text = std::to_string(i);
      check(caller_.ask(address_, {"ECHO", text}).text() == text, "ECHO");
    }
    const Counters after = counters();
    const auto asleep_after = sleepers_of(process());
    say("\nThe same " + std::to_string(echoes) +
        " times: the system calls that the server made for each of them, "
        "and\nhow many this model needs:\n");
    const auto calls = calls_per_request(before, after, echoes + 1);
    print_calls(calls);
    const bool library = std::ranges::any_of(
        calls, [](const auto& entry) { return entry.second.unseen; });
    if (library)
      say("(unseen: the C library makes these in threads of its own)\n");
    if (wait_.call.empty()) return;
    say((wait_.asks ? "In between the server asks by " + wait_.call +
                          " whether there is something for it:\n"
                    : "In between the server waits in " + wait_.call +
                          ", until the kernel has something for it:\n") +
        who_slept(asleep_before, asleep_after, wait_.call, library));
  }

  static void print_calls(const std::map<std::string, Calls>& calls) {
    std::printf("  %-24s %8s %8s\n", "", "counted", "ideal");
    Calls all;
    for (const auto& [name, number] : calls) {
      print_row(name, number);
      all.counted += number.counted;
      if (!number.unseen) all.ideal += number.ideal;
    }
    print_row("all", all);
  }

  /// The server's, if it tells, and is on this machine as far as we can know;
  /// else 0.
  int process() {
    if (!is_near(address_)) return 0;
    const Answer answer = caller_.ask(address_, {"INFO", "server"});
    const Counters numbers = parse_counters(answer.text());
    return static_cast<int>(value_of(numbers, "process_id"));
  }

  void introduce() {
    const Answer table = caller_.ask(address_, {"DHT.TABLE"});
    check(table.value().type == Value::Type::array, "DHT.TABLE");
    for (const Value& row : table.value().elements) {
      if (row.elements.size() != 4) return check(false, "DHT.TABLE");
      in_ring_ |= row.elements[3].text != address_;
    }
    if (in_ring_) show_known(table.value());
  }

  void show_known(const Value& table) {
    say("\nA ring is a circle of numbers. A node stands where the hash of its\n"
        "address falls, and owns the numbers, and so the keys, between the\n"
        "node before it and itself. It knows a few others, and most of them\n"
        "are near. We talk to the node at " +
        address_ + ", which knows:\n");
    const Value* begun = nullptr;  // the first of those that are the same node
    const Value* last = nullptr;
    for (const Value& row : table.elements) {
      if (begun && begun->elements[3].text != row.elements[3].text)
        say(known(*begun, *last)), begun = nullptr;
      if (!begun) begun = &row;
      last = &row;
    }
    if (begun) say(known(*begun, *last));
  }

  /// Rows of [rule, start, identifier, address], the last one of the same node.
  static std::string known(const Value& first, const Value& last) {
    std::string rules(first.elements[0].text);
    if (&first != &last) rules += " to " + std::string(last.elements[0].text);
    return "  " + std::string(first.elements[3].text) + "  " + rules + '\n';
  }

  void store() {
    say("\nSET and GET");
    if (in_ring_)
      say(": every key belongs to one node. Another node answers\n"
          "MOVED and names one that is nearer to the owner, whom we ask next");
    say(":\n");
    for (const auto& [key, value] : pairs) expect({"SET", key, value}, "OK");
    for (const auto& [key, value] : pairs) expect({"GET", key}, value);
  }

  void look_up() {
    say("\nLookups: who owns a key? We ask from node to node for the next "
        "step;\nthe word behind a node is the rule by which the one before it "
        "chose it.\n");
    for (const auto& [key, value] : pairs) {
      const auto steps = program::look_up(caller_, address_, key);
      say(print_steps(key, steps));
      check_owner(key, steps);
      check_path(key, steps);
    }
    say("DHT.OWNER names the same owners, and DHT.LOOKUP, for which the node "
        "asks\nthe others itself, the same ways.\n");
  }

  void check_owner(const std::string& key, const std::vector<Step>& steps) {
    const Answer owner = caller_.ask(address_, {"DHT.OWNER", key});
    const auto& parts = owner.value().elements;
    check(parts.size() == 2 && parts[0].text == steps.back().id &&
              parts[1].text == steps.back().address,
          "DHT.OWNER " + key);
  }

  void check_path(const std::string& key, const std::vector<Step>& steps) {
    const Answer path = caller_.ask(address_, {"DHT.LOOKUP", key});
    const auto same = [](const Value& hop, const Step& step) {
      return hop.elements.size() == 4 && hop.elements[0].text == step.id &&
             hop.elements[1].text == step.address &&
             hop.elements[2].text == step.rule;
    };
    check(std::ranges::equal(path.value().elements, steps, same),
          "DHT.LOOKUP " + key);
  }

  void clear() {
    for (const auto& [key, value] : pairs) {
      const Answer answer = follow({"DEL", key}, address_, false);
      check(answer.value().type == Value::Type::integer &&
                answer.value().integer == 1,
            std::string("DEL ") + key);
    }
  }

  Counters counters() {
    const Answer answer = caller_.ask(address_, {"INFO", "syscalls"});
    Counters numbers = parse_counters(answer.text());
    check(!numbers.empty(), "INFO syscalls");
    wait_ = first_ideal(numbers);
    return numbers;
  }

  /// Starts where the last command ended, so that commands come to nodes that
  /// do not own their keys.
  void expect(const Command& command, std::string_view expected) {
    say("  " + joined(command) + '\n');
    const Answer answer = follow(command, last_, true);
    check(answer.text() == expected, joined(command));
  }

  /// Asks, and asks again where MOVED says, until there is an answer.
  Answer follow(const Command& command, std::string address, bool aloud) {
    for (int i = 0; i < redirections_max; ++i) {
      Answer answer = caller_.ask(address, command);
      if (aloud) say("    " + address + "  " + print_formatted(answer.value()));
      if (!answer.is_error() || !answer.text().starts_with("MOVED ")) {
        last_ = address;
        return answer;
      }
      address = answer.text().substr(answer.text().rfind(' ') + 1);
      if (!net::parse_address(address))
        throw NoAnswer("MOVED to '" + address + "', which is no address");
    }
    throw NoAnswer(joined(command) + ": redirected without end");
  }

  void check(bool right, const std::string& what) {
    if (right) return;
    right_ = false;
    say("  WRONG: " + what + '\n');
  }

  Caller& caller_;
  const std::string address_;
  std::string last_;  // who answered the last command
  Wait wait_;         // the call in which the server waits
  bool in_ring_ = false;
  bool right_ = true;
};

}  // namespace

bool demonstrate(Caller& caller, const std::string& address) {
  return Demonstration(caller, address).run();
}

}  // namespace program
