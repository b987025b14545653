#include "bench/load/workload.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <stdexcept>

#include "protocol/parser.hpp"
#include "tests/load/simulation.hpp"

namespace {

using load::Answers;
using load::append_payload;
using load::Asked;
using load::is_payload;
using load::owner_of_request;
using load::owner_of_value;
using load::Random;
using load::whose;
using load::Workload;

std::string payload(std::size_t size, load::Owner owner) {
  std::string text;
  append_payload(text, size, owner);
  return text;
}

// ---- Payloads ---------------------------------------------------------------

TEST(Payload, DiffersForEveryOwner) {
  std::set<std::string> texts;
  std::size_t owners = 0;
  for (std::uint32_t i = 0; i < 100; ++i) {
    texts.insert(payload(8, owner_of_value(i, 8)));
    ++owners;
    for (std::uint32_t k = 0; k < 100; ++k, ++owners)
      texts.insert(payload(8, owner_of_request(i, k)));
  }
  EXPECT_EQ(texts.size(), owners);
}

TEST(Payload, BeginsWithTheShorterOnes) {
  const load::Owner owner = owner_of_request(3, 4);
  const std::string whole = payload(100, owner);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const std::string text = payload(size, owner);
    EXPECT_EQ(text, whole.substr(0, size));
    EXPECT_TRUE(is_payload(text, owner));
  }
}

TEST(Payload, IsAppended) {
  std::string text = "before";
  append_payload(text, 9, owner_of_value(1, 9));
  EXPECT_EQ(text, "before" + payload(9, owner_of_value(1, 9)));
}

TEST(Payload, IsNotOneWithAWrongByteAnywhere) {
  const load::Owner owner = owner_of_request(3, 4);
  for (const std::size_t size : {1, 7, 8, 9, 16, 31, 100})
    for (std::size_t at = 0; at < size; ++at) {
      std::string text = payload(size, owner);
      text[at] = static_cast<char>(text[at] ^ 0x10);
      EXPECT_FALSE(is_payload(text, owner)) << at << " of " << size;
    }
}

TEST(Payload, TellsWhoseItIs) {
  for (const std::size_t size : {16, 17, 32, 4096}) {
    EXPECT_EQ(whose(payload(size, owner_of_request(5, 17))),
              "connection 5, request 17");
    EXPECT_EQ(whose(payload(size, owner_of_request(0, 0))),
              "connection 0, request 0");
    EXPECT_EQ(whose(payload(size, owner_of_request(99'999, 4294967295))),
              "connection 99999, request 4294967295");
    EXPECT_EQ(whose(payload(size, owner_of_value(3, 20))),
              "key 3 with 20 bytes");
    EXPECT_EQ(
        whose(payload(size, owner_of_value(load::keys_max - 1, 64 << 20))),
        "key 68719476735 with 67108864 bytes");
  }
}

TEST(Payload, OfNobodyIsNobodys) {
  EXPECT_EQ(whose(""), "");
  EXPECT_EQ(whose(payload(15, owner_of_value(3, 15))), "");
  EXPECT_EQ(whose("a text of somebody who is not us"), "");
  EXPECT_EQ(whose(payload(32, owner_of_value(3, 32)).substr(1)), "");
}

// ---- Commands ---------------------------------------------------------------

/// One connection's requests, read back as a server reads them.
class Speaking {
 public:
  explicit Speaking(const std::vector<std::string>& commands,
                    std::uint64_t keys = 10, std::uint64_t seed = 1,
                    Answers from = Answers::server)
      : workload(commands, keys, from), speaker(5, Random(seed)) {}

  std::vector<std::string> ask() {
    asked = workload.ask(session, speaker);
    const auto bytes = session.output();
    protocol::Budget budget(1 << 20);
    protocol::Pool pool(budget);
    protocol::Scratch scratch(pool);
    protocol::Progress progress;
    const auto parsed =
        protocol::parse_request(bytes, limits_, scratch, progress);
    EXPECT_EQ(parsed.consumed, bytes.size());
    const auto arguments = scratch.arguments();
    std::vector<std::string> words(arguments.begin(), arguments.end());
    session.sent(bytes.size());
    return words;
  }

  /// What is wrong with this answer, in RESP, to the last request.
  std::string check(const std::string& bytes) {
    session.receive(simulation::as_bytes(bytes));
    const protocol::Value* reply = session.reply();
    if (!reply) throw std::logic_error("not a reply: " + bytes);
    return workload.check(*reply, asked, speaker);
  }
  std::string answer(const std::string& bytes) {
    ask();
    return check(bytes);
  }

  const Workload workload;
  Workload::Speaker speaker;
  protocol::ClientSession session;
  Asked asked;

 private:
  protocol::Limits limits_{.bulk_max = 8 << 20, .frame_max = 16 << 20};
};

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

using Words = std::vector<std::string>;

TEST(Command, HasItsWords) {
  EXPECT_EQ(Speaking({"PING"}).ask(), Words{"PING"});
  EXPECT_EQ(Speaking({"  PING   hello "}).ask(), (Words{"PING", "hello"}));
  EXPECT_EQ(Speaking({"echo a{3}b"}).ask(),
            (Words{"echo", "a" + payload(3, owner_of_request(5, 0)) + "b"}));
  EXPECT_EQ(Speaking({"GET x{key}y"}, 1).ask(), (Words{"GET", "xkey:0y"}));
  EXPECT_EQ(Speaking({"ECHO {0}"}).ask(), (Words{"ECHO", ""}));
  EXPECT_EQ(Speaking({"SET {key} {20}"}, 1).ask(),
            (Words{"SET", "key:0", payload(20, owner_of_value(0, 20))}));
}

TEST(Command, HasOtherBytesInEveryRequest) {
  Speaking speaking({"ECHO {32}"});
  for (std::uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(speaking.ask()[1], payload(32, owner_of_request(5, i)));
    EXPECT_EQ(speaking.asked.sequence, i);
  }
}

TEST(Command, HasBytesOfALargePayload) {
  Speaking speaking({"ECHO {4194304}"});
  std::string text;
  speaking.workload.ask(speaking.session, speaking.speaker);
  while (speaking.session.has_output()) {
    const auto part = speaking.session.output();
    text.append(reinterpret_cast<const char*>(part.data()), part.size());
    speaking.session.sent(part.size());
  }
  EXPECT_EQ(text, "*2\r\n$4\r\nECHO\r\n" +
                      bulk(payload(4 << 20, owner_of_request(5, 0))));
}

TEST(Command, HasEverySizeOfItsRange) {
  Speaking speaking({"ECHO {3-6}"});
  std::map<std::size_t, int> sizes;
  for (int i = 0; i < 4000; ++i) ++sizes[speaking.ask()[1].size()];
  ASSERT_EQ(sizes.size(), 4u);
  EXPECT_EQ(sizes.begin()->first, 3u);
  for (const auto& [size, count] : sizes) EXPECT_NEAR(count, 1000, 150) << size;
}

TEST(Command, HasEveryKey) {
  Speaking speaking({"GET {key}"}, 5);
  std::map<std::string, int> keys;
  for (int i = 0; i < 5000; ++i) ++keys[speaking.ask()[1]];
  ASSERT_EQ(keys.size(), 5u);
  EXPECT_EQ(keys.begin()->first, "key:0");
  for (const auto& [key, count] : keys) EXPECT_NEAR(count, 1000, 150) << key;
}

TEST(Command, IsChosenByItsWeight) {
  Speaking speaking({"7*PING", "ECHO {8}", "2*GET {key}"});
  std::map<std::string, int> counts;
  for (int i = 0; i < 10'000; ++i) ++counts[speaking.ask()[0]];
  EXPECT_NEAR(counts["PING"], 7000, 200);
  EXPECT_NEAR(counts["ECHO"], 1000, 150);
  EXPECT_NEAR(counts["GET"], 2000, 200);
}

TEST(Command, RepeatsWithItsSeed) {
  const auto ask = [](std::uint64_t seed) {
    Speaking speaking({"ECHO {1-100}", "GET {key}"}, 1000, seed);
    std::vector<Words> asked;
    for (int i = 0; i < 100; ++i) asked.push_back(speaking.ask());
    return asked;
  };
  EXPECT_EQ(ask(1), ask(1));
  EXPECT_NE(ask(1), ask(2));
}

struct Refused {
  const char* command;
  const char* why;
};

class Refusal : public testing::TestWithParam<Refused> {};

TEST_P(Refusal, SaysWhy) {
  try {
    const Workload workload({GetParam().command}, 10);
    FAIL() << GetParam().command << " was taken";
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find(GetParam().why), std::string::npos)
        << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Of, Refusal,
    testing::Values(Refused{"", "no command"}, Refused{"   ", "no command"},
                    Refused{"3*", "no command"},
                    Refused{"0*PING", "a weight is from 1"},
                    Refused{"1000001*PING", "a weight is from 1"},
                    Refused{"*PING", "is not a number"},
                    Refused{"x*PING", "'x' is not a number"},
                    Refused{"-1*PING", "is not a number"},
                    Refused{"ECHO {", "the brace is not closed"},
                    Refused{"ECHO {32", "the brace is not closed"},
                    Refused{"ECHO {}", "is not a number"},
                    Refused{"ECHO {name}", "'name' is not a number"},
                    Refused{"ECHO {3x}", "'3x' is not a number"},
                    Refused{"ECHO {3-}", "is not a number"},
                    Refused{"ECHO {-3}", "is not a number"},
                    Refused{"ECHO {6-3}", "wanted is {n}"},
                    Refused{"ECHO {67108865}", "at most 64 MiB"},
                    Refused{"ECHO {99999999999999999999}", "is not a number"},
                    Refused{"ECHO {3}{4}", "at most one payload"},
                    Refused{"{3}", "has to begin with the name"},
                    Refused{"E{3} x", "has to begin with the name"},
                    Refused{"INFO", "cannot be checked"},
                    Refused{"ECHO", "cannot be checked"},
                    Refused{"ECHO a b", "cannot be checked"},
                    Refused{"GET fixed", "cannot be checked"},
                    Refused{"DEL fixed", "cannot be checked"},
                    Refused{"DHT.LOOKUP fixed", "cannot be checked"},
                    Refused{"SET fixed {8}", "cannot be checked"},
                    Refused{"SET {key} fixed", "cannot be checked"},
                    Refused{"SET {key} a{8}", "cannot be checked"}));

TEST(Refusal, OfNoCommandAtAll) {
  EXPECT_THROW(Workload({}, 10), std::invalid_argument);
}

TEST(Refusal, OfOneOfMany) {
  EXPECT_THROW(Workload({"PING", "INFO"}, 10), std::invalid_argument);
}

// ---- Answers ----------------------------------------------------------------

TEST(Answer, ThatIsRightIsTaken) {
  const std::string mine = payload(32, owner_of_request(5, 0));
  const std::string of_key = payload(20, owner_of_value(0, 20));
  EXPECT_EQ(Speaking({"ECHO {32}"}).answer(bulk(mine)), "");
  EXPECT_EQ(Speaking({"ECHO a{32}b"}).answer(bulk("a" + mine + "b")), "");
  EXPECT_EQ(Speaking({"ECHO {0}"}).answer(bulk("")), "");
  EXPECT_EQ(Speaking({"PING {32}"}).answer(bulk(mine)), "");
  EXPECT_EQ(Speaking({"PING"}).answer("+PONG\r\n"), "");
  EXPECT_EQ(Speaking({"ECHO {key}"}, 1).answer(bulk("key:0")), "");
  EXPECT_EQ(Speaking({"SET {key} {20}"}, 1).answer("+OK\r\n"), "");
  EXPECT_EQ(Speaking({"GET {key}"}, 1).answer(bulk(of_key)), "");
  EXPECT_EQ(Speaking({"GET {key}"}, 1).answer("$-1\r\n"), "");
  EXPECT_EQ(Speaking({"GET {key}"}, 1).answer("_\r\n"), "");
  for (const char* const answer : {":0\r\n", ":1\r\n"}) {
    EXPECT_EQ(Speaking({"DEL {key}"}).answer(answer), "");
    EXPECT_EQ(Speaking({"EXISTS {key}"}).answer(answer), "");
  }
}

/// An answer to a command, and what has to be said of it.
struct Wrong {
  const char* command;
  std::string answer;
  const char* said;
};

class WrongReply : public testing::TestWithParam<Wrong> {};

TEST_P(WrongReply, IsNamed) {
  const auto& [command, answer, said] = GetParam();
  const std::string why = Speaking({command}, 1).answer(answer);
  EXPECT_NE(why.find(said), std::string::npos) << command << ": " << why;
}

const std::string right = payload(32, owner_of_request(5, 0));

INSTANTIATE_TEST_SUITE_P(
    Echo, WrongReply,
    testing::Values(
        Wrong{"ECHO {32}", bulk(right.substr(0, 31)), "31 bytes"},
        Wrong{"ECHO {32}", bulk(right + "x"), "33 bytes"},
        Wrong{"ECHO {32}", bulk(right.substr(0, 31) + '\x01'),
              "instead of the answer to ECHO (connection 5, request 0, 32 "
              "bytes)"},
        Wrong{"ECHO {32}", bulk(payload(32, owner_of_request(5, 1))),
              "they belong to connection 5, request 1"},
        Wrong{"ECHO {32}", bulk(payload(32, owner_of_request(4, 0))),
              "they belong to connection 4, request 0"},
        Wrong{"ECHO {32}", bulk(payload(32, owner_of_value(0, 32))),
              "they belong to key 0"},
        Wrong{"ECHO {32}", "-ERR no\r\n", "the error 'ERR no'"},
        Wrong{"ECHO {32}", "$-1\r\n", "null instead"},
        Wrong{"ECHO {32}", ":7\r\n", "7 instead"},
        Wrong{"ECHO {32}", "*0\r\n", "an array of 0 instead"},
        Wrong{"ECHO {32}", "%0\r\n", "a value of another type"},
        Wrong{"ECHO {0}", "+\r\n", "0 bytes ''"},
        Wrong{"ECHO a{4}", bulk("a" + payload(4, owner_of_value(0, 4))),
              "instead of the answer to ECHO"},
        Wrong{"ECHO {3}", bulk("\x01\x02\xff"), "3 bytes '...'"},
        Wrong{"ECHO {3}", bulk(std::string(41, 'x')), "xxx...'"},
        Wrong{"PING {3}", "+PONG\r\n", "instead of the answer to PING"}));

INSTANTIATE_TEST_SUITE_P(
    Others, WrongReply,
    testing::Values(
        Wrong{"PING", "+OK\r\n", "2 bytes 'OK' instead of"},
        Wrong{"PING", bulk("PONG"), "instead of the answer to PING"},
        Wrong{"SET {key} {8}", "+QUEUED\r\n", "key 0, 8 bytes"},
        Wrong{"SET {key} {8}", bulk("OK"), "instead of the answer to SET"},
        Wrong{"SET {key} {8}", "-OOM\r\n", "the error 'OOM'"},
        Wrong{"GET {key}", bulk(payload(32, owner_of_value(1, 32))),
              "they belong to key 1 with 32 bytes"},
        Wrong{"GET {key}",
              bulk(payload(2000, owner_of_value(0, 2000)).substr(0, 1999)),
              "they belong to key 0 with 2000 bytes"},
        Wrong{"GET {key}", bulk(right), "they belong to connection 5"},
        Wrong{"GET {key}", "+OK\r\n", "instead of the answer to GET (key 0)"},
        Wrong{"DEL {key}", ":2\r\n", "2 instead of"},
        Wrong{"DEL {key}", ":-1\r\n", "-1 instead of"},
        Wrong{"EXISTS {key}", "+1\r\n", "instead of the answer to EXISTS"}));

// Nothing says of an empty value whose it is.
TEST(Answer, ThatIsEmptyIsWrongUnlessThatCanBe) {
  const auto got = [](const std::string& set) {
    Speaking speaking({"GET {key}", set}, 1);
    while (speaking.ask()[0] != "GET") {
    }
    return speaking.check(bulk(""));
  };
  EXPECT_EQ(got("SET {key} {0-8}"), "");
  EXPECT_NE(got("SET {key} {1-8}"), "");
}

// ---- Echoes -----------------------------------------------------------------

std::string array(const Words& words) {
  std::string text = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) text += bulk(word);
  return text;
}

Speaking to_echo(const std::string& command) {
  return Speaking({command}, 1, 1, Answers::echo);
}

TEST(Echo, OfTheRequestIsTaken) {
  // Commands whose answers by a server cannot be checked, too.
  for (const char* const command :
       {"ECHO {32}", "PING", "INFO", "ECHO a{8}b", "SET {key} {20}", "GET"}) {
    Speaking speaking = to_echo(command);
    EXPECT_EQ(speaking.check(array(speaking.ask())), "") << command;
  }
}

TEST(Echo, OfSomethingElseIsNamed) {
  const auto answer = [](const Words& words) {
    return to_echo("ECHO {32}").answer(array(words));
  };
  EXPECT_EQ(answer({"ECHO", right}), "");
  EXPECT_EQ(answer({"ECHO"}).find("an array of 1 instead of"), 0);
  EXPECT_EQ(answer({"ECHO", right, ""}).find("an array of 3 instead of"), 0);
  EXPECT_NE(answer({"echo", right}), "");
  EXPECT_NE(answer({"ECHO", right.substr(1)}), "");
  EXPECT_NE(answer({"ECHO", payload(32, owner_of_request(4, 0))})
                .find("they belong to connection 4, request 0"),
            std::string::npos);
  EXPECT_NE(to_echo("ECHO {32}").answer(bulk(right)), "");
  EXPECT_NE(to_echo("PING").answer("*1\r\n+PING\r\n"), "");
  EXPECT_NE(to_echo("SET {key} {4}").answer(array({"SET", "key:1", "abcd"})),
            "");
}

// ---- Lookups ----------------------------------------------------------------

std::string hop(char digit, const std::string& rule = "finger",
                const std::string& time = ":12\r\n") {
  return "*4\r\n" + bulk(std::string(40, digit)) + bulk("127.0.0.1:7001") +
         bulk(rule) + time;
}

TEST(Lookup, ThatIsRightIsTaken) {
  Speaking speaking({"DHT.LOOKUP {key}"}, 1);
  EXPECT_EQ(speaking.answer("*1\r\n" + hop('a', "start")), "");
  EXPECT_EQ(speaking.answer("*2\r\n" + hop('b', "start") + hop('a')), "");
}

TEST(Lookup, WithAnOwnerThatChangesIsNot) {
  Speaking speaking({"DHT.LOOKUP {key}"}, 1);
  EXPECT_EQ(speaking.answer("*1\r\n" + hop('a')), "");
  EXPECT_NE(speaking.answer("*1\r\n" + hop('b')), "");
  EXPECT_EQ(speaking.answer("*1\r\n" + hop('a')), "");
}

TEST(Lookup, OfAnotherKeyHasAnotherOwner) {
  Speaking speaking({"DHT.LOOKUP {key}"}, 2);
  for (int i = 0; i < 50; ++i) {
    speaking.ask();
    const char digit = speaking.asked.key == 0 ? 'a' : 'b';
    EXPECT_EQ(speaking.check("*1\r\n" + hop(digit)), "");
  }
}

TEST(Lookup, ThatIsMalformedIsNot) {
  const std::string id = bulk(std::string(40, 'a'));
  for (const std::string& answer :
       {std::string("*0\r\n"), std::string("*-1\r\n"), std::string("+OK\r\n"),
        "*1\r\n" + id, "*1\r\n*3\r\n" + id + bulk("a") + bulk("b"),
        "*1\r\n*4\r\n" + bulk("short") + bulk("a") + bulk("b") + ":1\r\n",
        "*1\r\n*4\r\n" + id + bulk("") + bulk("b") + ":1\r\n",
        "*1\r\n" + hop('a', ""), "*1\r\n" + hop('a', "rule", bulk("12")),
        "*2\r\n" + hop('a', "start") + bulk("x"),
        std::string("-MOVED 1 127.0.0.1:7001\r\n")})
    EXPECT_NE(Speaking({"DHT.LOOKUP {key}"}, 1).answer(answer), "") << answer;
}

}  // namespace
