// The clients, against servers that play every part: they print the answer,
// or say in one line what is wrong and end with 1, in time.

#include "tests/conformance/scripted.hpp"
#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

/// Less than our own patience, so that it is the client that loses his.
Arguments enough_time() {
  return {"--timeout", std::to_string(patience().count() / 4)};
}

class Clients : public testing::TestWithParam<Program> {
 protected:
  /// Missing fails, and who cannot run here skips.
  void SetUp() override {
    const Descriptor closed = bind_socket();
    const Finished tried = call(address_of(closed), {"PING"});
    if (tried.code == 77) GTEST_SKIP() << tried.errors;
    ASSERT_EQ(tried.code, 1) << GetParam().path << ": " << tried.errors;
  }

  Finished call(const std::string& address, const Arguments& words,
                const Arguments& options = enough_time()) const {
    Arguments command{GetParam().path};
    command.insert(command.end(), options.begin(), options.end());
    command.push_back(address);
    command.insert(command.end(), words.begin(), words.end());
    return run(command);
  }
  Finished look_up(const std::string& address, const std::string& key,
                   const std::string& timeout = enough_time()[1]) const {
    return run(
        {GetParam().path, "--timeout", timeout, address, "--lookup", key});
  }
};

/// No answer: one line that says why, and nothing on the standard output.
void expect_complaint(const Finished& finished) {
  EXPECT_EQ(finished.code, 1);
  EXPECT_EQ(finished.output, "");
  EXPECT_EQ(lines_of(finished.errors).size(), 1u) << finished.errors;
  EXPECT_GE(finished.errors.size(), 10u) << finished.errors;
}

/// Every form of reply, RESP2 and RESP3.
const std::vector<std::string>& replies() {
  static const std::vector<std::string> all{
      "+OK\r\n",
      "-ERR no such thing\r\n",
      ":-42\r\n",
      "$5\r\nhello\r\n",
      "$0\r\n\r\n",
      "$-1\r\n",
      "*-1\r\n",
      "*0\r\n",
      "$12\r\na\r\nb\"\\\t\x01\xff\x7f z\r\n",
      "*3\r\n$1\r\na\r\n:2\r\n$-1\r\n",
      "*2\r\n*2\r\n:1\r\n*1\r\n+x\r\n*0\r\n",
      ("*11\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:10\r\n"
       "*2\r\n:1\r\n:2\r\n"),
      "*2\r\n+first\r\n-ERR second\r\n"};
  return all;
}
const std::vector<std::string>& replies_of_resp3() {
  static const std::vector<std::string> all{
      "_\r\n",
      "#t\r\n",
      ",3.25\r\n",
      "=8\r\ntxt:some\r\n",
      "%2\r\n+one\r\n:1\r\n+two\r\n*2\r\n:2\r\n:3\r\n",
      "~2\r\n+a\r\n+b\r\n",
      "%0\r\n"};
  return all;
}

/// Answers HELLO as it should be and everything else with `reply`.
Scripted::Script saying(const std::string& reply) {
  return answering([reply](const std::vector<std::string>& words) {
    return words[0] == "HELLO" ? "%1\r\n$5\r\nproto\r\n:3\r\n" : reply;
  });
}

// What the client prints is what redis-cli prints.
TEST_P(Clients, PrintAsRedisCliPrints) {
  const std::string redis_cli = find_tool("redis-cli");
  if (redis_cli.empty()) GTEST_SKIP() << "redis-tools is not installed";
  const auto compare = [&](const std::string& reply, const Arguments& options) {
    SCOPED_TRACE(printable(reply) + " " + options[0]);
    const Scripted server(saying(reply));
    Arguments command{redis_cli, "-p", server.port()};
    command.insert(command.end(), options.begin(), options.end());
    command.push_back("ANYTHING");
    EXPECT_EQ(call(server.address(), {"ANYTHING"}, options).output,
              run(command).output);
  };
  for (const char* form : {"--raw", "--no-raw"}) {
    for (const auto& reply : replies()) compare(reply, {form});
    for (const auto& reply : replies_of_resp3()) compare(reply, {form, "-3"});
  }
}

TEST_P(Clients, SendTheCommandAsItIs) {
  const std::vector<std::string> words{"ECHO", "", "a b", "--no-raw",
                                       std::string(70'000, 'x')};
  const Scripted server(answering([&](const std::vector<std::string>& got) {
    return got == words ? ok : "-ERR these are others\r\n";
  }));
  const Finished finished = call(server.address(), words);
  EXPECT_EQ(finished.output, "OK\n");
  EXPECT_EQ(finished.code, 0) << finished.errors;
}

// An error is an answer, but not a success.
TEST_P(Clients, EndWithOneAfterAnError) {
  const Scripted server(saying("-ERR no\r\n"));
  const Finished finished = call(server.address(), {"ANY"}, {"--no-raw"});
  EXPECT_EQ(finished.output, "(error) ERR no\n");
  EXPECT_EQ(finished.code, 1);
}

TEST_P(Clients, PutTheAnswerTogetherFromItsBytes) {
  const std::string reply =
      "*3\r\n$5\r\nhello\r\n*2\r\n:1\r\n$-1\r\n$3\r\n\r\n!\r\n";
  const Scripted server([&](Peer& peer) {
    peer.frame();
    for (const char byte : reply) peer.send(std::string_view(&byte, 1));
    peer.await_close();
  });
  const Finished finished = call(server.address(), {"ANY"}, {"--no-raw"});
  EXPECT_EQ(finished.output,
            "1) \"hello\"\n2) 1) (integer) 1\n   2) (nil)\n3) \"\\r\\n!\"\n");
  EXPECT_EQ(finished.code, 0) << finished.errors;
}

TEST_P(Clients, TakeAndSendLargeValues) {
  const std::string value = numbered(1, 3 << 20);
  const Scripted server([&](Peer& peer) {
    const Reply got = decode(peer.frame());
    if (got.items.at(1).text.size() == 100'000) peer.send(bulk(value));
    peer.await_close();
  });
  const Finished finished =
      call(server.address(), {"ANY", std::string(100'000, 'x')});
  EXPECT_TRUE(finished.output == value + "\n");
  EXPECT_EQ(finished.code, 0) << finished.errors;
}

// Cut at every boundary, by an end or by a reset: half an answer is none.
TEST_P(Clients, SayThatTheServerHasEndedEarly) {
  const std::string reply = "*2\r\n$5\r\nhello\r\n:1\r\n";
  for (std::size_t cut = 0; cut < reply.size(); ++cut) {
    SCOPED_TRACE(cut);
    const Scripted server([&](Peer& peer) {
      peer.frame();
      if (cut) peer.send(reply.substr(0, cut));
      if (cut % 3 == 2) peer.reset();
    });
    expect_complaint(call(server.address(), {"ANY"}));
  }
}

TEST_P(Clients, SayThatTheServerHasHungUpAtOnce) {
  const Scripted ending([](Peer&) {});
  expect_complaint(call(ending.address(), {"ANY"}));
  const Scripted resetting([](Peer& peer) { peer.reset(); });
  expect_complaint(call(resetting.address(), {"ANY"}));
}

TEST_P(Clients, SayThatNobodyListens) {
  const Descriptor closed = bind_socket();
  const Finished finished = call(address_of(closed), {"ANY"});
  expect_complaint(finished);
  EXPECT_NE(finished.errors.find("refused"), std::string::npos)
      << finished.errors;
}

TEST_P(Clients, SayThatAnAnswerIsNoAnswer) {
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += "*1\r\n";
  for (const std::string& reply : std::vector<std::string>{
           "hello there\r\n", "$-7\r\n", "$abc\r\n", "*1x\r\n", ":12a\r\n",
           "$99999999999999\r\n", "$3\r\nabcd\r\n", "\r\n\r\n", deep,
           std::string(1000, '\0') + "\r\n",
           "HTTP/1.1 400 Bad Request\r\n\r\n"}) {
    SCOPED_TRACE(printable(reply));
    // Nothing else comes: it has to be seen in these bytes.
    const Scripted server([&](Peer& peer) {
      peer.frame();
      peer.send(reply);
      peer.await_close();
    });
    expect_complaint(call(server.address(), {"ANY"}));
  }
}

TEST_P(Clients, WaitNoLongerThanTheirTimeout) {
  const auto began = std::chrono::steady_clock::now();
  const Scripted silent([](Peer& peer) { peer.await_close(); });
  expect_complaint(call(silent.address(), {"ANY"}, {"--timeout", "200"}));
  // A byte now and then is no answer either.
  const Scripted slow([](Peer& peer) {
    peer.frame();
    peer.send("$100000\r\n");
    while (!peer.at_end(Milliseconds(20))) peer.send("x");
  });
  expect_complaint(call(slow.address(), {"ANY"}, {"--timeout", "200"}));
  EXPECT_LT(std::chrono::steady_clock::now() - began, patience());
}

TEST_P(Clients, NameWrongOptions) {
  for (const Arguments& wrong :
       std::vector<Arguments>{{"--no-such-option", "127.0.0.1:1", "PING"},
                              {"--timeout", "soon", "127.0.0.1:1", "PING"},
                              {"127.0.0.1:1"},
                              {}}) {
    Arguments command{GetParam().path};
    command.insert(command.end(), wrong.begin(), wrong.end());
    const Finished finished = run(command);
    EXPECT_EQ(finished.code, 2)
        << (wrong.empty() ? "" : wrong[0]) << " " << finished.errors;
    EXPECT_NE(finished.errors, "");
  }
}

using Step = std::vector<std::string>;

/// A node of a scripted ring: it says who it is, and to every DHT.NEXT `next`.
Scripted::Script node(const std::string& id, const Step& next) {
  return answering([id, next](const std::vector<std::string>& words) {
    if (words[0] == "CLUSTER") return bulk(id);
    return words[0] == "DHT.NEXT" ? request(next) : pong;
  });
}

const std::string first_id(40, 'a'), second_id(40, 'b');

TEST_P(Clients, LookUpFromNodeToNode) {
  Descriptor socket = bind_socket();
  const std::string address = address_of(socket);
  const Scripted second(node(second_id, {"here", second_id, address, "owner"}),
                        std::move(socket));
  const Scripted first(
      node(first_id, {"forward", second_id, address, "finger 6"}));
  const Finished finished = look_up(first.address(), "some key");
  EXPECT_EQ(finished.code, 0) << finished.errors;
  std::size_t at = 0;
  for (const auto& word :
       {std::string("some key"), first.address(), first_id, second.address(),
        second_id, std::string("finger 6")}) {
    at = finished.output.find(word, at);
    ASSERT_NE(at, std::string::npos) << word << " in " << finished.output;
  }
}

// Nodes that send us in a circle would hold us for ever.
TEST_P(Clients, DoNotRunInCircles) {
  Descriptor sockets[] = {bind_socket(), bind_socket()};
  const std::string one = address_of(sockets[0]), two = address_of(sockets[1]);
  const Scripted first(node(first_id, {"forward", second_id, two, "finger 1"}),
                       std::move(sockets[0]));
  const Scripted second(node(second_id, {"forward", first_id, one, "finger 1"}),
                        std::move(sockets[1]));
  expect_complaint(look_up(first.address(), "key"));
}

TEST_P(Clients, NameTheNodeThatIsDead) {
  const Descriptor closed = bind_socket();
  const Scripted silent([](Peer& peer) { peer.await_close(); });
  for (const auto& dead : {address_of(closed), silent.address()}) {
    const Scripted first(
        node(first_id, {"forward", second_id, dead, "finger 1"}));
    const Finished finished = look_up(first.address(), "key", "300");
    expect_complaint(finished);
    EXPECT_NE(finished.errors.find(dead), std::string::npos) << finished.errors;
  }
}

TEST_P(Clients, DoNotBelieveEveryStep) {
  for (const Step& step :
       std::vector<Step>{{},
                         {"here"},
                         {"over there", first_id, "127.0.0.1:1", "owner"},
                         {"forward", second_id, "nowhere", "finger 1"}}) {
    const Scripted server(node(first_id, step));
    expect_complaint(look_up(server.address(), "key"));
  }
  const Scripted other(saying("-ERR unknown command\r\n"));
  expect_complaint(look_up(other.address(), "key"));
}

// Whoever says OK to everything has not shown anything.
TEST_P(Clients, AreNotDemonstratedALie) {
  const Scripted liar(saying(ok));
  const Finished finished =
      run({GetParam().path, "--timeout", "1000", liar.address(), "--demo"});
  EXPECT_NE(finished.code, 0) << finished.output;
}

/// The servers that can be nodes of a ring here, as `ring` wants them.
std::string ring_servers() {
  std::string paths;
  for (const Program& program : servers())
    if (availability(program).usable() &&
        traits_of(program).concurrent() >= 100 &&
        traits_of(program)["ring"] == "yes")
      paths += (paths.empty() ? "" : ",") + program.path;
  return paths;
}

TEST_P(Clients, DemonstrateARealRing) {
  if (ring_servers().empty()) GTEST_SKIP() << "no server here makes a ring";
  const Finished finished = run({in_bin("ring"), "--servers", ring_servers(),
                                 "--count", "5", "--client", GetParam().path});
  EXPECT_EQ(finished.code, 0) << finished.output << finished.errors;
  EXPECT_NE(finished.output.find("Every answer was right"), std::string::npos)
      << finished.output;
}

TEST_P(Clients, AreToldOfARingThatDoesNotStand) {
  const Finished missing = run({in_bin("ring"), "--servers", "/no/such/server",
                                "--client", GetParam().path});
  EXPECT_NE(missing.code, 0);
  EXPECT_NE(missing.errors.find("/no/such/server"), std::string::npos)
      << missing.errors;
  if (ring_servers().empty()) GTEST_SKIP() << "no server here makes a ring";
  const Finished wrong =
      run({in_bin("ring"), "--servers", ring_servers(), "--client",
           GetParam().path, "--", "--no-such-option"});
  EXPECT_NE(wrong.code, 0);
}

// A student's own server comes without a client.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Clients);
INSTANTIATE_TEST_SUITE_P(Programs, Clients, testing::ValuesIn(clients()),
                         name_of);

}  // namespace
}  // namespace conformance
