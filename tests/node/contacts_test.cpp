#include "node/contacts.hpp"

#include <gtest/gtest.h>

#include <new>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "tests/node/fixed_overlay.hpp"
#include "tests/tools/allocations.hpp"

namespace node {
namespace {

using protocol::Nanoseconds;
using Link = Contact::Link;
using Numbers = std::vector<std::uint64_t>;

constexpr Nanoseconds silence_max = 1000;
constexpr std::size_t reply_max = 1 << 20;

// A node and two others. Whoever asks waits until the test says otherwise. The
// test is the loop that drives, and the holder of every contact.
class ContactsTest : public testing::Test {
 protected:
  ContactsTest() : overlay({id_at(1), "self"}) {
    for (const dht::Member& member : members)
      overlay.all_ranges.push_back({id_at(0), member.id, &member});
    contacts.emplace(
        overlay, reply_max, silence_max,
        [this](std::uint64_t asker) { return !gone.contains(asker); });
    one = contacts->find(members[1].id);
    other = contacts->find(members[2].id);
  }

  // Was anybody to be woken?
  bool ask(Contact& contact, std::uint64_t asker, bool command = false) {
    bool wake = false;
    contacts->ask(contact, {.asker = asker, .command = command}, wake);
    return wake;
  }
  // Says all that may be said; who asked it.
  Numbers say(Contact& contact, Nanoseconds now = 0) {
    contact.begin_saying();
    Numbers askers;
    while (const Question* question = contacts->next_question(contact, now)) {
      if (question->asking) contact.session.request({"ASKING"});
      contact.session.request({"question"});
      askers.push_back(question->asker);
    }
    return askers;
  }
  // Whose questions these bytes answer.
  Numbers hear(Contact& contact, const std::string& replies) {
    contact.session.receive(std::as_bytes(std::span(replies)));
    Numbers askers;
    Question question;
    while (const protocol::Value* reply = contact.hear(question)) {
      EXPECT_EQ(reply->text, "answer");
      askers.push_back(question.asker);
    }
    return askers;
  }
  Numbers lose(Contact& contact) {
    bool wake = false;
    Numbers askers;
    contact.session.reset();
    for (const Question& question : contacts->lose(contact, wake))
      askers.push_back(question.asker);
    woken = wake;
    return askers;
  }
  void connect(Contact& contact, std::uint64_t asker) {
    ask(contact, asker);
    ASSERT_EQ(contacts->next_to_connect(), &contact);
    contacts->connected(contact);
    EXPECT_EQ(say(contact), Numbers{asker});
  }
  // Has stood for a while, and owes nothing.
  void make_idle(Contact& contact) {
    connect(contact, 99);
    contacts->heard(contact);
    EXPECT_EQ(hear(contact, "+answer\r\n"), Numbers{99});
    EXPECT_EQ(say(contact), Numbers{});
  }
  void give_up(Contact& contact, Nanoseconds then) {
    contacts->advance(then);
    contacts->give_up_silent(then);
    ASSERT_TRUE(contact.given_up);
  }
  void expect_down(const Contact& contact) {
    EXPECT_EQ(contact.link, Link::down);
    EXPECT_FALSE(contact.announced);
    EXPECT_FALSE(contact.watched);
    EXPECT_FALSE(contact.given_up);
    EXPECT_FALSE(contact.stood);
    EXPECT_FALSE(contact.doubtful);
    EXPECT_FALSE(contacts->busy());
    EXPECT_EQ(contacts->first_silent(), protocol::never);
  }

  const std::vector<dht::Member> members{
      {id_at(1), "self"}, {id_at(2), "one"}, {id_at(3), "other"}};
  FixedOverlay overlay;
  std::set<std::uint64_t> gone;
  std::optional<Contacts> contacts;
  Contact *one = nullptr, *other = nullptr;
  bool woken = false;
};

// --- the link ---------------------------------------------------------------

TEST_F(ContactsTest, ThereIsOneForEachMember) {
  for (const dht::Member& member : members) {
    Contact* contact = contacts->find(member.id);
    ASSERT_NE(contact, nullptr);
    EXPECT_EQ(contact->id, member.id);
    EXPECT_EQ(contact->address, member.address);
    expect_down(*contact);
  }
  EXPECT_EQ(contacts->find(id_at(2, 1)), nullptr);
  EXPECT_EQ(contacts->find(id_at(9)), nullptr);
}

TEST_F(ContactsTest, WhoeverIsAskedIsConnectedToOnce) {
  ask(*one, 1);
  EXPECT_EQ(one->link, Link::called);
  ask(*one, 2);
  EXPECT_TRUE(contacts->busy());
  EXPECT_EQ(contacts->next_to_connect(), one);
  EXPECT_EQ(one->link, Link::calling);
  ask(*one, 3);
  EXPECT_EQ(contacts->next_to_connect(), nullptr);
  contacts->connected(*one);
  EXPECT_EQ(one->link, Link::up);
  EXPECT_EQ(say(*one), (Numbers{1, 2, 3}));
  EXPECT_EQ(contacts->next_to_say(), nullptr);
  EXPECT_FALSE(contacts->busy());
}

TEST_F(ContactsTest, TheyAreConnectedToInTheOrderInWhichTheyWereAsked) {
  ask(*other, 1);
  ask(*one, 2);
  EXPECT_EQ(contacts->next_to_connect(), other);
  EXPECT_EQ(contacts->next_to_connect(), one);
}

TEST_F(ContactsTest, NobodyIsConnectedToForThoseWhoAreGone) {
  ask(*one, 1);
  ask(*other, 2);
  gone = {1};
  EXPECT_EQ(contacts->next_to_connect(), other);
  EXPECT_EQ(one->link, Link::down);
  ask(*one, 3);
  EXPECT_EQ(contacts->next_to_connect(), one);
}

// --- saying and hearing -----------------------------------------------------

TEST_F(ContactsTest, WhoIsConnectedIsTurnedToOnce) {
  make_idle(*one);
  ask(*one, 1);
  EXPECT_TRUE(one->announced);
  EXPECT_TRUE(contacts->busy());
  ask(*one, 2);
  EXPECT_EQ(contacts->next_to_say(), one);
  EXPECT_EQ(contacts->next_to_say(), nullptr);
  ask(*one, 3);  // its holder will look
  EXPECT_EQ(contacts->next_to_say(), nullptr);
  EXPECT_EQ(say(*one), (Numbers{1, 2, 3}));
  EXPECT_FALSE(one->announced);
  ask(*one, 4);
  EXPECT_EQ(contacts->next_to_say(), one);
}

TEST_F(ContactsTest, WhatWasSaidMeanwhileIsNobodysTurnAnyMore) {
  make_idle(*one);
  ask(*one, 1);
  EXPECT_EQ(say(*one), Numbers{1});
  EXPECT_FALSE(contacts->busy());
  EXPECT_EQ(contacts->next_to_say(), nullptr);
}

TEST_F(ContactsTest, ItIsNobodysTurnForThoseWhoAreGone) {
  make_idle(*one);
  ask(*one, 1);
  gone = {1};
  EXPECT_EQ(contacts->next_to_say(), nullptr);
  EXPECT_FALSE(one->announced);
  ask(*one, 2);
  EXPECT_EQ(contacts->next_to_say(), one);
}

TEST_F(ContactsTest, NothingIsSaidForThoseWhoAreGone) {
  ask(*one, 1);
  ask(*one, 2);
  ask(*one, 3);
  contacts->next_to_connect();
  contacts->connected(*one);
  gone = {1, 2};
  EXPECT_EQ(say(*one), Numbers{3});
}

TEST_F(ContactsTest, WhatHasEndedIsForgottenFromTheFront) {
  for (std::uint64_t asker : {1, 2, 3, 4}) ask(*one, asker);
  gone = {1, 2, 4};
  contacts->forget_ended(*one);
  EXPECT_EQ(one->unsaid.size(), 2U);
}

TEST_F(ContactsTest, AnswersComeInTheOrderOfTheQuestions) {
  connect(*one, 1);
  ask(*one, 2);
  ask(*one, 3);
  EXPECT_EQ(say(*one), (Numbers{2, 3}));
  EXPECT_EQ(hear(*one, "+answer\r\n+answ"), Numbers{1});
  EXPECT_EQ(hear(*one, "er\r\n+answer\r\n"), (Numbers{2, 3}));
  EXPECT_TRUE(one->said.empty());
}

TEST_F(ContactsTest, TheReplyToAskingIsNoAnswer) {
  make_idle(*one);
  ask(*one, 1, true);
  ask(*one, 2);
  EXPECT_EQ(say(*one), (Numbers{1, 2}));
  EXPECT_EQ(hear(*one, "+OK\r\n"), Numbers{});
  EXPECT_EQ(hear(*one, "+answer\r\n+answer\r\n"), (Numbers{1, 2}));
}

TEST_F(ContactsTest, NoMoreThanAThousandAnswersAreOwed) {
  for (std::uint64_t asker = 0; asker < 2000; ++asker) ask(*one, asker);
  contacts->next_to_connect();
  contacts->connected(*one);
  EXPECT_EQ(say(*one).size(), 1024U);
  EXPECT_EQ(say(*one).size(), 0U);
  hear(*one, "+answer\r\n+answer\r\n");
  EXPECT_EQ(say(*one), (Numbers{1024, 1025}));
}

TEST_F(ContactsTest, WhoDoesNotReadIsToldNoMore) {
  ask(*one, 1);
  ask(*one, 2);
  contacts->next_to_connect();
  contacts->connected(*one);
  one->session.request({std::string(256 << 10, 'x')});
  EXPECT_EQ(say(*one), Numbers{});
  while (one->session.has_output())
    one->session.sent(one->session.output().size());
  EXPECT_EQ(say(*one), (Numbers{1, 2}));
}

TEST_F(ContactsTest, WhoHasEndedIsToldNoMore) {
  make_idle(*one);
  ask(*one, 1);
  one->session.end_of_input();
  EXPECT_EQ(say(*one), Numbers{});
  EXPECT_EQ(lose(*one), Numbers{});
  EXPECT_EQ(contacts->next_to_connect(), one);
  contacts->connected(*one);
  EXPECT_EQ(say(*one), Numbers{1});
}

// --- waking -----------------------------------------------------------------

TEST_F(ContactsTest, WhoeverAsksForTheNextOnesNeedNotBeWoken) {
  EXPECT_TRUE(ask(*one, 1));  // nobody knows yet who that is
  EXPECT_EQ(contacts->next_to_say(), nullptr);
  EXPECT_FALSE(ask(*other, 2));
  EXPECT_EQ(contacts->next_to_connect(), one);
  std::thread([&] { EXPECT_FALSE(ask(*one, 3)); }).join();  // it is calling
  contacts->connected(*one);
  say(*one);
  std::thread([&] {
    EXPECT_TRUE(ask(*one, 4));
    EXPECT_FALSE(ask(*one, 5));  // the same turn
    EXPECT_FALSE(ask(*other, 6));
  }).join();
}

TEST_F(ContactsTest, AConnectionIsLostByAnotherThreadWhoRings) {
  connect(*one, 1);
  contacts->next_to_say();
  std::thread([&] { lose(*one); }).join();
  EXPECT_FALSE(woken);  // there is nothing more to be said
  connect(*one, 2);
  ask(*one, 3);
  std::thread([&] { lose(*one); }).join();
  EXPECT_TRUE(woken);
  EXPECT_EQ(contacts->next_to_connect(), one);
}

// --- silence ----------------------------------------------------------------

TEST_F(ContactsTest, WhoeverConnectsHasItsTimeFromTheNextClock) {
  contacts->advance(500);
  ask(*one, 1);
  contacts->next_to_connect();
  EXPECT_TRUE(one->watched);
  EXPECT_TRUE(contacts->busy());  // it has no time yet
  contacts->give_up_silent(5000);
  EXPECT_FALSE(one->given_up);
  contacts->advance(700);
  EXPECT_FALSE(contacts->busy());
  contacts->advance(800);  // it has its time
  EXPECT_EQ(contacts->first_silent(), 700 + silence_max);
  contacts->give_up_silent(700 + silence_max - 1);
  EXPECT_FALSE(one->given_up);
  contacts->give_up_silent(700 + silence_max);
  EXPECT_TRUE(one->given_up);
  EXPECT_FALSE(one->watched);
  EXPECT_TRUE(contacts->busy());
  EXPECT_EQ(contacts->next_to_give_up(), one);
  EXPECT_EQ(contacts->next_to_give_up(), nullptr);
  EXPECT_EQ(contacts->first_silent(), protocol::never);
}

// Another thread's contact is watched from a time that was told before.
TEST_F(ContactsTest, NobodysTimeIsTakenFromAnother) {
  make_idle(*one);
  ask(*other, 1);
  contacts->next_to_connect();
  ask(*one, 2);
  say(*one, 100);
  EXPECT_EQ(contacts->first_silent(), 100 + silence_max);
  EXPECT_TRUE(contacts->busy());
  contacts->advance(900);
  contacts->give_up_silent(100 + silence_max);
  EXPECT_TRUE(one->given_up);
  EXPECT_FALSE(other->given_up);
  EXPECT_EQ(contacts->first_silent(), 900 + silence_max);
}

TEST_F(ContactsTest, ASignOfLifeBeginsTheSilenceAnew) {
  connect(*one, 1);
  ask(*one, 2);
  say(*one, 300);  // owes the first answer since 0
  EXPECT_EQ(contacts->first_silent(), silence_max);
  contacts->heard(*one);
  EXPECT_FALSE(one->watched);
  EXPECT_EQ(hear(*one, "+answer\r\n"), Numbers{1});
  say(*one, 400);
  EXPECT_EQ(contacts->first_silent(), 400 + silence_max);
  contacts->heard(*one);
  EXPECT_EQ(hear(*one, "+answer\r\n"), Numbers{2});
  say(*one, 500);  // nothing is owed any more
  EXPECT_FALSE(one->watched);
  contacts->give_up_silent(5000);
  EXPECT_FALSE(one->given_up);
}

TEST_F(ContactsTest, WhoIsConnectedBeforeAnyClockIsNotWatched) {
  ask(*one, 1);
  contacts->next_to_connect();
  contacts->connected(*one);
  EXPECT_FALSE(one->watched);
  EXPECT_FALSE(contacts->busy());
}

TEST_F(ContactsTest, NothingIsSaidToWhoIsGivenUp) {
  connect(*one, 1);
  give_up(*one, silence_max);
  EXPECT_FALSE(ask(*one, 2));
  EXPECT_EQ(contacts->next_to_say(), nullptr);
  EXPECT_EQ(contacts->next_to_connect(), nullptr);
  EXPECT_EQ(say(*one), Numbers{});
  EXPECT_FALSE(one->watched);
}

// --- connections that are lost ----------------------------------------------

TEST_F(ContactsTest, ARefusalIsForAllWhoWait) {
  ask(*one, 1);
  ask(*one, 2, true);
  contacts->next_to_connect();
  EXPECT_EQ(lose(*one), (Numbers{1, 2}));
  expect_down(*one);
}

TEST_F(ContactsTest, WhatIsOwedByAFreshConnectionIsLostWithIt) {
  connect(*one, 1);
  ask(*one, 2);
  EXPECT_EQ(lose(*one), Numbers{1});
  EXPECT_EQ(one->link, Link::called);  // for the second
  EXPECT_EQ(contacts->next_to_connect(), one);
  contacts->connected(*one);
  EXPECT_EQ(say(*one), Numbers{2});
}

TEST_F(ContactsTest, WhatAnIdleConnectionPerhapsDidNotHearIsAskedAgain) {
  make_idle(*one);
  ask(*one, 1);
  ask(*one, 2, true);
  ask(*one, 3);
  say(*one);
  EXPECT_TRUE(one->doubtful);
  ask(*one, 4);
  EXPECT_EQ(lose(*one), Numbers{2});
  EXPECT_EQ(contacts->next_to_connect(), one);
  contacts->connected(*one);
  EXPECT_EQ(say(*one), (Numbers{1, 3, 4}));
  EXPECT_FALSE(one->doubtful);
  EXPECT_EQ(lose(*one), (Numbers{1, 3, 4}));
  expect_down(*one);
}

TEST_F(ContactsTest, WhatIsAskedAgainIsLostByARefusal) {
  make_idle(*one);
  ask(*one, 1);
  say(*one);
  EXPECT_EQ(lose(*one), Numbers{});
  EXPECT_EQ(contacts->next_to_connect(), one);
  EXPECT_EQ(lose(*one), Numbers{1});
  expect_down(*one);
}

TEST_F(ContactsTest, WhoHasAnsweredIsNotInDoubt) {
  make_idle(*one);
  ask(*one, 1);
  ask(*one, 2);
  say(*one);
  EXPECT_EQ(hear(*one, "+answer\r\n"), Numbers{1});
  ask(*one, 3);
  say(*one);  // still owes
  EXPECT_FALSE(one->doubtful);
  EXPECT_EQ(lose(*one), (Numbers{2, 3}));
}

TEST_F(ContactsTest, WhatIsGivenUpIsAskedAgainButNoCommand) {
  connect(*one, 1);
  ask(*one, 2, true);
  say(*one);
  give_up(*one, silence_max);
  ask(*one, 3);  // while it is being closed
  gone = {1};
  EXPECT_EQ(lose(*one), Numbers{2});
  EXPECT_EQ(contacts->next_to_give_up(), nullptr);
  EXPECT_EQ(contacts->next_to_connect(), one);
  contacts->connected(*one);
  EXPECT_EQ(say(*one), Numbers{3});
}

TEST_F(ContactsTest, NobodyIsCalledAgainForThoseWhoAreGone) {
  connect(*one, 1);
  give_up(*one, silence_max);
  gone = {1};
  EXPECT_EQ(lose(*one), Numbers{});
  EXPECT_FALSE(woken);
  expect_down(*one);
}

// What was not said over it is not lost with it, be it a command.
TEST_F(ContactsTest, AConnectionThatIsNeverMadeIsCalledAgain) {
  ask(*one, 1);
  ask(*one, 2, true);
  contacts->next_to_connect();
  contacts->advance(0);
  give_up(*one, silence_max);
  EXPECT_EQ(contacts->next_to_give_up(), one);
  EXPECT_EQ(lose(*one), Numbers{});
  EXPECT_EQ(contacts->next_to_connect(), one);
  contacts->connected(*one);
  EXPECT_EQ(say(*one), (Numbers{1, 2}));
}

TEST_F(ContactsTest, WhoIsLostHasNoTurn) {
  make_idle(*one);
  ask(*one, 1);
  EXPECT_EQ(lose(*one), Numbers{});
  EXPECT_EQ(contacts->next_to_say(), nullptr);
  EXPECT_EQ(contacts->next_to_connect(), one);
}

// --- memory -----------------------------------------------------------------

TEST_F(ContactsTest, WithoutMemoryNothingIsAskedAndNothingHasChanged) {
  refuse_allocations(0, 1);
  EXPECT_THROW(ask(*one, 1), std::bad_alloc);
  serve_allocations();
  EXPECT_TRUE(one->unsaid.empty());
  expect_down(*one);
}

TEST_F(ContactsTest, OnlyAQuestionTakesMemory) {
  make_idle(*one);
  const std::string answer = "+answer\r\n";
  std::uint64_t asker = 0;
  const auto talk = [&] {
    ask(*one, ++asker);
    contacts->next_to_say();
    one->begin_saying();
    while (contacts->next_question(*one, 0)) one->session.request({"q"});
    one->session.sent(one->session.output().size());
    one->session.receive(std::as_bytes(std::span(answer)));
    contacts->heard(*one);
    Question question;
    while (one->hear(question)) EXPECT_EQ(question.asker, asker);
    contacts->next_question(*one, 0);
  };
  for (int i = 0; i < 10; ++i) talk();
  const std::uint64_t before = allocations();
  for (int i = 0; i < 100; ++i) talk();
  EXPECT_LE(allocations() - before, 100U);
}

}  // namespace
}  // namespace node
