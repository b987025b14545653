#include "bench/load/report.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using load::Arrivals;
using load::Outcome;
using load::Plan;
using load::Setting;

constexpr load::Nanoseconds second = 1'000'000'000;
constexpr load::Nanoseconds microsecond = 1'000;

Plan closed() {
  Plan plan;
  plan.address = "127.0.0.1:7000";
  return plan;
}

Plan open() {
  Plan plan = closed();
  plan.rate = 2000;
  return plan;
}

/// `count` requests within a second, each answered after 40 us and sent in
/// time.
Outcome healthy(std::uint64_t count = 2000) {
  Outcome outcome;
  outcome.requests = outcome.completed = count;
  outcome.measuring = second;
  outcome.cpu = second / 10;
  for (std::uint64_t i = 0; i < count; ++i) {
    outcome.latency.record(40 * microsecond);
    outcome.naive.record(39 * microsecond);
    outcome.lag.record(microsecond);
  }
  return outcome;
}

void record(load::Histogram& histogram, int count, load::Nanoseconds value) {
  for (int i = 0; i < count; ++i) histogram.record(value);
}

/// The curve of samples that are all alike: so many points, and the greatest.
std::string all_alike(const std::string& value, std::size_t points) {
  const std::vector<std::string> percentiles{
      "0",  "5",  "10", "20", "30", "40", "50",   "60",   "70",
      "75", "80", "85", "90", "95", "99", "99.5", "99.9", "99.95"};
  std::string text = "[";
  for (std::size_t i = 0; i < points; ++i)
    text += "[" + percentiles.at(i) + "," + value + "],";
  return text + "[100," + value + "]]";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// ---- The verdict ------------------------------------------------------------

TEST(Fault, IsNotFoundWhereNoneIs) {
  EXPECT_EQ(load::find_fault(closed(), healthy()), "");
  EXPECT_EQ(load::find_fault(open(), healthy()), "");
}

TEST(Fault, IsTheFirstError) {
  Outcome outcome = healthy();
  outcome.first_error = "connection 3: refused";
  EXPECT_EQ(load::find_fault(closed(), outcome), "connection 3: refused");
}

TEST(Fault, IsThatNothingWasAnswered) {
  EXPECT_EQ(load::find_fault(closed(), Outcome()), "nothing was answered");
  Outcome unanswered = healthy();
  unanswered.requests = 0;
  EXPECT_EQ(load::find_fault(open(), unanswered), "nothing was answered");
  Outcome timeless = healthy();
  timeless.measuring = 0;
  EXPECT_EQ(load::find_fault(closed(), timeless), "nothing was answered");
}

TEST(Fault, IsThatItDidNotKeepItsSchedule) {
  Outcome outcome = healthy();
  record(outcome.lag, 15, 90 * microsecond);
  EXPECT_EQ(load::find_fault(open(), outcome), "");
  record(outcome.lag, 30, 150 * microsecond);
  const std::string fault = load::find_fault(open(), outcome);
  EXPECT_TRUE(has(fault, "us after their time; allowed are 100.000")) << fault;
}

// Where the server is slow, a tenth of its p99 is no matter.
TEST(Fault, IsMeasuredByTheLatency) {
  Outcome outcome = healthy();
  record(outcome.lag, 30, 150 * microsecond);
  record(outcome.latency, 30, 2000 * microsecond);
  EXPECT_EQ(load::find_fault(open(), outcome), "");
  record(outcome.lag, 30, 250 * microsecond);
  EXPECT_TRUE(has(load::find_fault(open(), outcome), "after their time"));
}

TEST(Fault, IsThatAClosedLoopWasHeldUp) {
  Outcome outcome = healthy();
  record(outcome.lag, 30, 5000 * microsecond);
  EXPECT_EQ(load::find_fault(closed(), outcome), "");
  record(outcome.lag, 30, 9000 * microsecond);
  const std::string fault = load::find_fault(closed(), outcome);
  EXPECT_TRUE(has(fault, "the generator was held up")) << fault;
}

TEST(Fault, IsThatItWaitedForItsCpu) {
  Outcome outcome = healthy();
  outcome.delayed = second / 25;
  EXPECT_EQ(load::find_fault(closed(), outcome), "");
  outcome.delayed = second / 10;
  for (const Plan& plan : {closed(), open()})
    EXPECT_EQ(load::find_fault(plan, outcome),
              "the generator waited for its CPU for 10 % of the time");
}

TEST(Fault, IsThatTheServerFellSilent) {
  Outcome outcome = healthy();
  outcome.silent = second / 10;
  EXPECT_EQ(load::find_fault(closed(), outcome), "");
  outcome.silent = second / 8;
  EXPECT_EQ(load::find_fault(closed(), outcome),
            "the server was silent for 0.125 of 1.000 s, though answers were "
            "owed");
  EXPECT_EQ(load::find_fault(open(), outcome), "") << "it is in the latencies";
  outcome.silent = second / 3;
  EXPECT_TRUE(has(load::find_fault(open(), outcome), "silent for 0.333 of"));
}

TEST(Fault, IsThatAnswersAreOwedAtTheEnd) {
  Outcome outcome = healthy();
  outcome.unanswered = 3;
  outcome.silent = outcome.silent_at_end = second / 50;
  EXPECT_EQ(load::find_fault(open(), outcome), "") << "it answered to the end";
  EXPECT_EQ(load::find_fault(closed(), outcome),
            "3 requests were not answered: nothing came in the last 0.020 s");
  outcome.silent = outcome.silent_at_end = second;
  EXPECT_TRUE(has(load::find_fault(open(), outcome), "3 requests were not"));
}

TEST(Fault, IsThatAClosedLoopTookAWholeCpu) {
  Outcome outcome = healthy();
  outcome.cpu = second * 96 / 100;
  EXPECT_EQ(load::find_fault(closed(), outcome), "");
  outcome.cpu = second * 99 / 100;
  EXPECT_TRUE(has(load::find_fault(closed(), outcome), "took 99 % of a CPU"));
  // An open one waits awake.
  EXPECT_EQ(load::find_fault(open(), outcome), "");
}

TEST(Fault, IsThatThereAreTooFewSamples) {
  EXPECT_EQ(load::find_fault(closed(), healthy(1000)), "");
  EXPECT_EQ(load::find_fault(closed(), healthy(999)),
            "too few samples for p99: 999 of 1000");
  EXPECT_EQ(load::find_fault(open(), healthy(5)),
            "too few samples for p99: 5 of 1000");
}

// Four threads, of which one has all to do; two CPUs for four threads.
TEST(Fault, IsThatOneThreadOfSeveralTookAWholeCpu) {
  Outcome outcome = healthy();
  outcome.threads = outcome.cpus = 4;
  outcome.cpu = 2 * second;
  outcome.busiest = second * 96 / 100;
  EXPECT_EQ(load::find_fault(closed(), outcome), "");
  outcome.busiest = second * 98 / 100;
  EXPECT_EQ(load::find_fault(closed(), outcome),
            "a thread of the generator took 98 % of a CPU: it may be what "
            "limits");
  outcome.busiest = second / 2;
  outcome.cpus = 2;
  EXPECT_TRUE(has(load::find_fault(closed(), outcome), "took 100 % of a CPU"));
}

TEST(Fault, IsThatItDidNotSendAsAPoissonScheduleHasIt) {
  Outcome outcome = healthy();
  outcome.findings.gaps_p = 0.0011;
  EXPECT_EQ(load::find_fault(open(), outcome), "");
  outcome.findings.gaps_p = 0.0004;
  EXPECT_EQ(load::find_fault(open(), outcome),
            "its requests did not go as a Poisson schedule has them "
            "(Anderson-Darling, p = 0.0004)");
}

TEST(Fault, IsALatencyThatRisesOrFallsMuchAndClearly) {
  Outcome outcome = healthy();
  outcome.findings.trend = {.p = 0.0002, .drift = 0.6};
  EXPECT_EQ(load::find_fault(open(), outcome),
            "no steady state: from its beginning to its end the median rose "
            "by 60 % (Mann-Kendall, p = 0.0002)");
  outcome.findings.trend = {.p = 0.0002, .drift = -0.6};
  EXPECT_TRUE(has(load::find_fault(closed(), outcome), "fell by 60 %"));
  outcome.findings.trend = {.p = 0.0002, .drift = 0.4};
  EXPECT_EQ(load::find_fault(open(), outcome), "") << "clear, but small";
  outcome.findings.trend = {.p = 0.002, .drift = 0.6};
  EXPECT_EQ(load::find_fault(open(), outcome), "") << "large, but not clear";
}

// ---- What limits ------------------------------------------------------------

TEST(Limit, IsTheLoadThatWasHeldUpOrHadNoTime) {
  Outcome late = healthy();
  record(late.lag, 100, 9000 * microsecond);
  EXPECT_EQ(load::find_limit(open(), late), "load");
  EXPECT_EQ(load::find_limit(closed(), late), "load");
  Outcome waiting = healthy();
  waiting.delayed = second / 10;
  EXPECT_EQ(load::find_limit(closed(), waiting), "load");
  Outcome busy = healthy();
  busy.cpu = second;
  EXPECT_EQ(load::find_limit(closed(), busy), "load");
  EXPECT_EQ(load::find_limit(open(), busy), "schedule") << "it waits awake";
}

TEST(Limit, IsTheScheduleIfBothHaveKeptIt) {
  Outcome outcome = healthy(20'000);
  EXPECT_EQ(load::find_limit(open(), outcome), "schedule");
  outcome.completed -= 200;
  EXPECT_EQ(load::find_limit(open(), outcome), "schedule") << "1 % is owed";
  outcome.completed -= 1;
  EXPECT_EQ(load::find_limit(open(), outcome), "") << "the server is behind";
}

TEST(Limit, IsOtherwiseTheServer) {
  EXPECT_EQ(load::find_limit(closed(), healthy()), "");
  EXPECT_EQ(load::find_limit(closed(), Outcome()), "");
  Outcome wrong = healthy();
  wrong.cpu = second;
  wrong.first_error = "connection 3: refused";
  EXPECT_EQ(load::find_limit(closed(), wrong), "");
}

// ---- For programs -----------------------------------------------------------

/// A run with something in every figure of it.
Outcome eventful() {
  Outcome outcome = healthy(20'000);
  outcome.completed = 19'000;
  outcome.measuring = 2 * second;
  outcome.connecting = 12'345'678;
  outcome.warming = second / 2;
  outcome.cpu = second / 5;
  outcome.errors = 3;
  outcome.wrong = 1;
  outcome.unanswered = 4;
  outcome.flooded = 5, outcome.slow_ended = 6;
  outcome.threads = outcome.cpus = 2;
  outcome.findings.effective_n = 777;
  outcome.findings.trend = {.p = 0.25, .drift = 0};
  outcome.findings.intervals[0] = {38 * microsecond, 42 * microsecond};
  return outcome;
}

TEST(Json, OfAClosedLoop) {
  Plan plan = closed();
  plan.seed = 18446744073709551615u;
  EXPECT_EQ(load::to_json(plan, {"epoll-level", {"ECHO {32}", "PING"}},
                          eventful(), ""),
            R"({"verdict":"VALID","reason":"","client":"epoll-level",)"
            R"("target":"127.0.0.1:7000","mode":"closed","arrivals":null,)"
            R"("offered":null,"connections":50,"depth":1,)"
            R"("command":["ECHO {32}","PING"],"seed":18446744073709551615,)"
            R"("connect_s":0.012,"warmup_s":0.500,"duration_s":2.000,)"
            R"("requests":20000,"errors":3,"wrong":1,"unanswered":4,)"
            R"("flooder_requests":5,"slow_ended":6,"rate":9500.000,)"
            R"("limited_by":null,"effective_n":777,)"
            R"("intervals_us":{"p50":[38.000,42.000],"p90":null,"p99":null,)"
            R"("p99.9":null},"gaps_p":null,"stationarity_p":0.25,"threads":2,)"
            R"("cpu_share":0.050,)"
            R"("latency_us":{"p50":40.000,"p90":40.000,"p99":40.000,)"
            R"("p99.9":40.000,"max":40.000},"percentiles_us":)" +
                all_alike("40.000", 18) +
                R"(,"naive_us":{"p50":39.000,"p90":39.000,"p99":39.000,)"
                R"("p99.9":39.000,"max":39.000},)"
                R"("send_lag_us":{"p50":1.000,"p90":1.000,"p99":1.000,)"
                R"("p99.9":1.000,"max":1.000},)"
                R"("first_error":"","cpu_us_per_request":10.5263})");
}

TEST(Json, OfAnOpenLoop) {
  Plan plan = open();
  const auto json = [&] {
    return load::to_json(plan, {"epoll-level", {}}, healthy(), "slow");
  };
  const std::string poisson =
      R"("mode":"open","arrivals":"poisson","offered":2000.000,)";
  EXPECT_TRUE(has(json(), poisson)) << json();
  EXPECT_TRUE(has(json(), R"({"verdict":"INVALID","reason":"slow",)"));
  EXPECT_TRUE(has(json(), R"("command":[],)"));
  EXPECT_TRUE(has(json(), R"("rate":2000.000,"limited_by":"schedule",)"));
  plan.arrivals = Arrivals::fixed;
  EXPECT_TRUE(has(json(), R"("arrivals":"fixed",)"));
}

// Ten samples have to lie beyond a percentile: the median wants twenty.
TEST(Json, HasNullWhereSamplesAreTooFew) {
  const auto json = [](std::uint64_t count) {
    return load::to_json(closed(), Setting(), healthy(count), "");
  };
  const std::string rest = R"("max":40.000},"percentiles_us":[)";
  EXPECT_TRUE(has(json(0), R"("latency_us":{"p50":null,"p90":null,"p99":null,)"
                           R"("p99.9":null,"max":null},)"
                           R"("percentiles_us":[],)"));
  EXPECT_TRUE(has(json(9), R"("percentiles_us":[[100,40.000]],)"));
  EXPECT_TRUE(has(json(19),
                  R"({"p50":null,"p90":null,"p99":null,"p99.9":null,)" + rest));
  EXPECT_TRUE(has(
      json(20), R"({"p50":40.000,"p90":null,"p99":null,"p99.9":null,)" + rest));
  EXPECT_TRUE(
      has(json(999),
          R"({"p50":40.000,"p90":40.000,"p99":null,"p99.9":null,)" + rest));
  EXPECT_TRUE(
      has(json(9999),
          R"({"p50":40.000,"p90":40.000,"p99":40.000,"p99.9":null,)" + rest));
}

// A bucket's end may lie above the greatest sample: no percentile does.
TEST(Json, HasNoPercentileAboveTheMaximum) {
  Outcome outcome = healthy(0);
  record(outcome.latency, 100, 1'234'567);
  EXPECT_TRUE(has(load::to_json(closed(), Setting(), outcome, ""),
                  R"("p50":1234.567,"p90":1234.567,)"));
}

TEST(Json, OfNothingHasNoRate) {
  const std::string json = load::to_json(closed(), Setting(), Outcome(), "x");
  EXPECT_TRUE(has(json, R"("rate":0.000,)"));
  EXPECT_TRUE(has(json, R"("cpu_us_per_request":0.0000})"));
}

TEST(Json, QuotesWhatItWasTold) {
  Outcome outcome = healthy();
  outcome.first_error = "a \"b\" \\ \r\n \x7f \xc3";
  const std::string json =
      load::to_json(closed(), {"epoll-level", {"ECHO \""}}, outcome, "\t");
  EXPECT_TRUE(
      has(json, R"("first_error":"a \"b\" \\ \u000d\u000a \u007f \u00c3",)"))
      << json;
  EXPECT_TRUE(has(json, R"("command":["ECHO \""],)"));
  EXPECT_TRUE(has(json, R"("reason":"\u0009",)"));
}

TEST(Json, OfSeveralRanksHasTheirHostsAndTheirObjects) {
  const std::string one =
      load::to_json(closed(), {"epoll-level", {}, "lab11"}, healthy(), "");
  EXPECT_TRUE(has(one, "\"host\":\"lab11\",\"client\""));
  EXPECT_FALSE(has(one, "\"ranks\""));
  const std::string all = load::to_json(
      closed(), {"epoll-level", {}, "", {"{1}", "{2}"}}, healthy(), "");
  EXPECT_TRUE(all.ends_with(",\"ranks\":[{1},{2}]}"));
  EXPECT_FALSE(has(all, "\"host\""));
}

TEST(Json, OfAMergedHistogram) {
  EXPECT_EQ(load::to_json(healthy(2000).latency),
            R"({"requests":2000,"latency_us":{"p50":40.000,"p90":40.000,)"
            R"("p99":40.000,"p99.9":null,"max":40.000},"percentiles_us":)" +
                all_alike("40.000", 16) + "}");
}

// ---- For people -------------------------------------------------------------

TEST(Line, OfAClosedLoop) {
  EXPECT_EQ(load::to_line(closed(), healthy(), ""),
            "VALID: 2000 requests in 1.000 s, 2000/s, p50 40.000, p90 40.000, "
            "p99 40.000, p99.9 -, max 40.000 us; 50.00 us of CPU each");
}

TEST(Line, OfAnOpenLoopHasTheNaiveFiguresBeside) {
  Outcome outcome = healthy();
  outcome.unanswered = 2;
  outcome.errors = 1;
  EXPECT_EQ(load::to_line(open(), outcome, "why"),
            "INVALID (why): 2000 requests in 1.000 s, offered 2000/s, 2000/s, "
            "p50 40.000 (naive 39.000), p90 40.000 (naive 39.000), "
            "p99 40.000 (naive 39.000), p99.9 - (naive -), "
            "max 40.000 us, unanswered 2, errors 1; 50.00 us of CPU each");
}

// A pause of the machine holds up the load and the server alike.
TEST(Line, OfAnOpenLoopSaysWhatOfTheSlowestIsItsOwn) {
  Outcome outcome = healthy(19'980);
  record(outcome.latency, 30, 900 * microsecond);
  record(outcome.naive, 30, 100 * microsecond);
  record(outcome.lag, 30, 800 * microsecond);
  EXPECT_EQ(load::find_fault(open(), outcome), "");
  EXPECT_TRUE(has(load::to_line(open(), outcome, ""),
                  "max 900.000 us, sent late: p99.9 800.000 max 800.000 us; "))
      << load::to_line(open(), outcome, "");
  EXPECT_FALSE(has(load::to_line(closed(), outcome, ""), "sent late"));

  outcome = healthy(20'000);
  record(outcome.latency, 1, 9'000 * microsecond);
  record(outcome.lag, 1, 900 * microsecond);
  EXPECT_FALSE(has(load::to_line(open(), outcome, ""), "sent late"))
      << "a tenth of the server's is little";
  record(outcome.lag, 1, 901 * microsecond);
  EXPECT_TRUE(
      has(load::to_line(open(), outcome, ""), ", sent late: max 901.000 us; "));
}

}  // namespace
