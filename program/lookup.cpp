#include "program/lookup.hpp"

#include <algorithm>
#include <cstddef>

#include "net/address.hpp"

namespace program {
namespace {

using protocol::Value;

/// Throws NoAnswer with the server's words, or says that it is not understood.
[[noreturn]] void refuse(const std::string& address, const Answer& answer) {
  throw NoAnswer(address + ": " +
                 (answer.is_error() ? std::string(answer.text())
                                    : "not an answer to DHT.NEXT"));
}

/// [kind, identifier, address, rule], where kind is "here" or "forward".
Step parse_step(const std::string& address, const Answer& answer, bool& here) {
  const auto& parts = answer.value().elements;
  if (parts.size() != 4) refuse(address, answer);
  const Step step{std::string(parts[1].text), std::string(parts[2].text),
                  std::string(parts[3].text)};
  here = parts[0].text == "here";
  if (!here &&
      (parts[0].text != "forward" || !net::parse_address(step.address)))
    refuse(address, answer);
  return step;
}

std::string own_id(Caller& caller, const std::string& address) {
  const Answer answer = caller.ask(address, {"CLUSTER", "MYID"});
  if (answer.value().type != Value::Type::bulk) refuse(address, answer);
  return std::string(answer.text());
}

}  // namespace

std::vector<Step> look_up(Caller& caller, const std::string& address,
                          const std::string& key) {
  std::vector<Step> steps{{own_id(caller, address), address, "start"}};
  for (bool here = false;;) {
    const std::string asked = steps.back().address;
    const Answer answer = caller.ask(asked, {"DHT.NEXT", key});
    Step step = parse_step(asked, answer, here);
    if (here) return steps;
    if (std::ranges::find(steps, step.address, &Step::address) != steps.end())
      throw NoAnswer(asked + ": sends us back to " + step.address);
    steps.push_back(std::move(step));
  }
}

std::string print_steps(const std::string& key,
                        const std::vector<Step>& steps) {
  std::size_t width = 0;
  for (const Step& step : steps) width = std::max(width, step.address.size());
  std::string text = "\"" + key + "\"\n";
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    text += "  " + std::to_string(i) + "  " + step.address +
            std::string(width - step.address.size() + 2, ' ') + step.id + "  " +
            step.rule + (i + 1 == steps.size() ? ", owner" : "") + '\n';
  }
  return text;
}

}  // namespace program
