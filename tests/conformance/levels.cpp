#include "tests/conformance/levels.hpp"

#include <algorithm>

namespace conformance {

namespace {

using enum Level;

// Every test of servers is in here, or its suite is.
constexpr Demand demands[] = {
    {"Echo", echo, "Answers",
     "PING and ECHO are answered whole, in the order of the requests and to "
     "the byte, however the requests were cut and heaped on their way."},
    {"Startup.TheReadyLineNamesModelVariantAndUrl", echo, "Start",
     "When peers can connect, the program prints one line and flushes it: "
     "ready <model> <variant> <url>."},
    {"Startup.WhoComesAtOnceIsServed", echo, "Start",
     "Who connects the moment the ready line is there is served."},
    {"Stop.IdlePeersSeeTheEnd", echo, "Stop",
     "At SIGTERM every peer gets a FIN, not a reset, and the program ends "
     "with 0 within two seconds."},
    {"Framing.TenThousandRequestsInOneWrite", echo, "Answers",
     "However many requests come at once, each is answered."},
    {"Framing.DeepPipelinesOnTwoHundredConnections", echo, "Answers",
     "Many peers are served at once, and each gets its own answers."},
    {"Framing.RoundsOfSixtyFour", echo, "Answers",
     "Requests that have been read already are answered without new input."},
    {"Endings", echo, "Ends",
     "However a peer leaves, what came whole before is answered if it still "
     "reads, and nobody else feels it."},
    {"Endings.AResetWhileTheServerSends", limits, "Ends",
     "A reset in the middle of an answer hurts nobody else."},
    {"Errors.GarbageHurtsNobody", echo, "Ends",
     "Bytes without sense end their own conversation at most."},
    {"Promises.AreOfKnownWords", echo, "Traits",
     "--traits prints name=value lines with the words of the table."},
    {"Promises.ConcurrentIsTheNumberServedAtOnce", echo, "Traits",
     "concurrent= says how many conversations are served at once."},
    {"Promises.SleepsMeansNoCpuTimeWhileIdle", echo, "Traits",
     "sleeps=yes promises that no CPU time is used while nothing happens."},

    {"Framing", store, "Answers",
     "Requests as arrays or in a line are answered in order and to the byte, "
     "however they were cut."},
    {"Commands.EchoAndPingReturnWhatTheyGet", echo, "Answers",
     "PING and ECHO return what they get."},
    {"Commands.AnyByteMayStandInAKeyAndAValue", store, "Answers",
     "Keys and values are bytes: none of them means anything."},
    {"Commands.TheStoreKeepsCountsAndForgets", store, "Answers",
     "SET, GET, EXISTS, DBSIZE, DEL and FLUSHALL do what Redis's do."},
    {"Commands.WhatASavedKeyHoldsIsTheSameForEveryPeer", store, "Answers",
     "What one peer stores, every peer finds."},
    {"Commands.MistakesAreAnsweredInRedissWords", store, "Answers",
     "A mistake is answered in Redis's words, and the conversation goes on."},
    {"Commands.InlineRequestsAreTakenToo", store, "Answers",
     "A request may be a line of words, quoted where they need it."},
    {"Commands.QuitIsAnsweredAndEndsTheConversation", store, "Ends",
     "QUIT is answered with OK, nothing behind it, and then comes the end."},
    {"Stock.RedisCliTalksPlainly", store, "Answers",
     "redis-cli prints of this server what it prints of Redis."},
    {"Stock.RedisCliPipesMassInsertions", store, "Answers",
     "redis-cli --pipe counts as many answers as it has sent requests."},

    {"Framing.AValueOneByteAboveTheLimit", limits, "Limits",
     "At a limit a request is served, one byte above it is refused."},
    {"Framing.AFrameOfTwoMebibytesAndOneByteMore", limits, "Limits",
     "At a limit a request is served, one byte above it is refused."},
    {"Framing.LimitsAreOptions", limits, "Limits", "Every limit is an option."},
    {"Commands", limits, "INFO",
     "What stock clients ask for is answered as Redis answers it."},
    {"Startup", limits, "Start",
     "Options are named by --help, and wrong ones end with 2 and their name."},
    {"Startup.MemoryIsLimited", limits, "Limits",
     "--max-memory is kept: SET is refused with -OOM, and all else is served."},
    {"Accept", limits, "Traits",
     "Where --accept says which of several loops accepts, everybody is served "
     "in each way, and INFO tells by which loop."},
    {"Children", limits, "Traits",
     "Where each peer has a process of its own (full=processes), all of them "
     "together are the server, and none takes anything along when it dies."},
    {"Promises", limits, "Traits", "threads= says what --threads multiplies."},
    {"Errors", limits, "Limits",
     "What breaks the protocol is answered with its reason, which arrives; "
     "then the conversation is over."},
    {"Full", limits, "Descriptors",
     "Above --max-clients, and without descriptors, it neither ends nor "
     "spins, and serves again when peers have left."},
    {"Interrupts", limits, "Interrupted",
     "A call that was interrupted is made again, and no peer notices."},
    {"Lateness", limits, "Deadlines",
     "Who is late is closed and counted, and nobody else is."},
    {"Leftovers", limits, "Descriptors",
     "When all peers are gone, so are their descriptors, threads and memory."},
    {"Pressure", limits, "Back-pressure",
     "A peer that does not read is not read either, memory keeps its limits, "
     "and no byte is lost."},
    {"Stock", limits, "INFO",
     "redis-cli and redis-benchmark find what they need."},
    {"Stop", limits, "Stop",
     "At SIGTERM what has come whole is answered, every peer gets a FIN, and "
     "the account is left behind."},

    {"BudgetTest", limits, "Limits",
     "What a peer has sent is in the budget of --buffers-max, or gone once it "
     "was answered."},
    {"Info", limits, "INFO",
     "INFO has what stock tools read, with true values."},
    {"Memory", limits, "Limits",
     "Memory that was freed serves any later use, and --max-memory bounds it."},
    {"Portions", limits, "Answers",
     "What one peer has sent at once does not keep the others waiting."},
    {"Starved", limits, "Limits",
     "Without memory one conversation is lost and counted, and no other."},
    {"Stopped", limits, "Deadlines",
     "Nobody is late whose bytes the kernel already has."},

    {"Addresses", ring, "In a ring",
     "Addresses that cannot be another's, and two names of one node, are "
     "refused."},
    {"Among", ring, "In a ring",
     "Lookups go on while other peers keep the node busy."},
    {"Kernels", ring, "Start",
     "Where the kernel refuses a call there is a fallback that is said once, "
     "or one line and the end with 77."},
    {"Places", ring, "Descriptors",
     "Descriptors for the other nodes are not given to peers."},
    {"Redirects", ring, "In a ring",
     "MOVED names the next hop, or with --redirect owner the owner."},
    {"RefusedRing", ring, "Start",
     "A program that cannot run here says so in one line and ends with 77."},
    {"Vanished", ring, "In a ring",
     "A node that vanished and comes back is asked again."},

    {"Calls", limits, "INFO",
     "Who names an ideal counts the system calls, and a request takes as "
     "many."},
    {"Commands.ANodeAloneIsARingOfOne", ring, "In a ring",
     "A node without a ring owns every key."},
    {"Commands.SlotsAreRedissSlots", ring, "In a ring",
     "Keys lie in the slots of the cluster specification."},
    {"DeadHop", ring, "In a ring",
     "A node that does not answer costs those who need it an error in time, "
     "and nobody else anything."},
    {"Refused", ring, "Start",
     "A program that cannot run here says so in one line and ends with 77."},
    {"Ring", ring, "In a ring",
     "Every key has one owner, to which every node leads."},
    {"Startup.ATimelineIsWritten", ring, "Start",
     "--trace=FILE writes the calls of every thread."},
    {"StockCluster", ring, "In a ring",
     "Redis's own clients find every key of a ring."},
    {"Unanswered", ring, "In a ring",
     "A question that stays unanswered does not keep the next one."},
};

const Demand* row_of(std::string_view tests) {
  const auto row =
      std::find_if(std::begin(demands), std::end(demands),
                   [&](const Demand& demand) { return demand.tests == tests; });
  return row == std::end(demands) ? nullptr : row;
}

}  // namespace

std::string word_of(Level level) {
  return level_names.at(static_cast<std::size_t>(level));
}

std::optional<Level> level_named(std::string_view name) {
  const auto found = std::find(level_names.begin(), level_names.end(), name);
  if (found == level_names.end()) return {};
  return static_cast<Level>(found - level_names.begin());
}

const Demand* demand_on(std::string_view suite, std::string_view test) {
  suite.remove_prefix(suite.find('/') + 1);
  const std::string name =
      std::string(suite) + '.' + std::string(test.substr(0, test.find('/')));
  const Demand* own = row_of(name);
  return own ? own : row_of(suite);
}

}  // namespace conformance
