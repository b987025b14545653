#include "node/commands.hpp"

#include <array>

#include "node/handlers.hpp"

namespace node {

namespace {

constexpr protocol::Flags none{};
constexpr protocol::Flags fast{.fast = true};
constexpr protocol::Flags reads{.readonly = true, .fast = true};
constexpr protocol::Flags admin{.admin = true};
constexpr protocol::Cost constant{.constant = true};

// clang-format off
constexpr auto rows = std::to_array<Command>({
    // name, arity, flags, keys, group, syntax, summary, answer, cost if it is
    // not that of a PING
    {"ping", -1, fast, 0, 0, "connection", "[message]",
     "Answers PONG, or the message.", ping},
    {"echo", 2, fast, 0, 0, "connection", "message",
     "Answers the message.", echo},
    {"hello", -1, fast, 0, 0, "connection",
     "[protover [AUTH username password] [SETNAME clientname]]",
     "Tells what the server is and speaks RESP 2 or 3 from here on.", hello,
     {.steps = 4}},
    {"select", 2, fast, 0, 0, "connection", "index",
     "Chooses a database; there is one, 0.", select},
    {"quit", -1, fast, 0, 0, "connection", "",
     "Answers OK and ends the conversation.", quit},
    {"asking", 1, fast, 0, 0, "connection", "",
     "The next command is answered here, whoever owns its keys.", asking},
    {"readonly", 1, fast, 0, 0, "connection", "",
     "Answers OK: there are no replicas that would refuse to read.", readonly},
    {"client", -2, none, 0, 0, "connection", "",
     "What the server knows of this conversation.", nullptr},
    {"client|getname", 2, fast, 0, 0, "connection", "",
     "Answers the conversation's name, or null.", client_getname},
    {"client|help", 2, none, 0, 0, "connection", "",
     "Lists the subcommands.", help, constant},
    {"client|id", 2, fast, 0, 0, "connection", "",
     "Answers the conversation's number.", client_id},
    {"client|setinfo", 4, fast, 0, 0, "connection",
     "lib-name|lib-ver value",
     "Takes a client library's name or version, and does not keep it.",
     client_setinfo},
    {"client|setname", 3, fast, 0, 0, "connection", "name",
     "Names the conversation; an empty name takes the name away.",
     client_setname},

    {"get", 2, reads, 1, 1, "string", "key",
     "Answers the key's value, or null.", get},
    {"set", -3, {.write = true, .denyoom = true}, 1, 1, "string", "key value",
     "Gives the key a value. Options are a syntax error.", set},
    {"del", -2, {.write = true}, 1, -1, "generic", "key [key ...]",
     "Deletes the keys and answers how many there were.", del},
    {"exists", -2, reads, 1, -1, "generic", "key [key ...]",
     "Answers how many of the keys exist; a key named twice counts twice.",
     exists},

    {"dbsize", 1, reads, 0, 0, "server", "",
     "Answers how many keys this node holds.", dbsize},
    {"flushall", -1, {.write = true}, 0, 0, "server", "[ASYNC|SYNC]",
     "Deletes every key that this node holds.", flushall, {.steps = 10}},
    {"info", -1, none, 0, 0, "server", "[section [section ...]]",
     "What the server is and has done, as lines of text.", info,
     {.steps = 250}},
    {"command", -1, none, 0, 0, "server", "",
     "Describes every command.", command, constant},
    {"command|count", 2, fast, 0, 0, "server", "",
     "Answers how many commands there are.", command_count, constant},
    {"command|docs", -2, none, 0, 0, "server", "[name [name ...]]",
     "Documents the commands, or all of them.", command_docs, constant},
    {"command|help", 2, none, 0, 0, "server", "",
     "Lists the subcommands.", help, constant},
    {"command|info", -2, none, 0, 0, "server", "[name [name ...]]",
     "Describes the commands, or all of them.", command_info, constant},
    {"config", -2, none, 0, 0, "server", "",
     "The server's settings.", nullptr},
    {"config|get", -3, admin, 0, 0, "server", "pattern [pattern ...]",
     "Answers the settings whose names match a pattern.", config_get,
     {.steps = 20}},
    {"config|help", 2, none, 0, 0, "server", "",
     "Lists the subcommands.", help, constant},

    {"cluster", -2, none, 0, 0, "cluster", "",
     "The ring, as clients of a Redis cluster ask for it.", nullptr},
    {"cluster|countkeysinslot", 3, reads, 0, 0, "cluster", "slot",
     "Answers how many keys of a slot this node holds.",
     cluster_countkeysinslot},
    {"cluster|help", 2, none, 0, 0, "cluster", "",
     "Lists the subcommands.", help, constant},
    {"cluster|info", 2, none, 0, 0, "cluster", "",
     "The ring's state, as lines of text.", cluster_info, constant},
    {"cluster|keyslot", 3, fast, 0, 0, "cluster", "key",
     "Answers the key's slot.", cluster_keyslot},
    {"cluster|myid", 2, fast, 0, 0, "cluster", "",
     "Answers this node's identifier.", cluster_myid, constant},
    {"cluster|nodes", 2, none, 0, 0, "cluster", "",
     "All nodes and their slots, a line for each.", cluster_nodes, constant},
    {"cluster|shards", 2, none, 0, 0, "cluster", "",
     "All nodes, each with its slots.", cluster_shards, constant},
    {"cluster|slots", 2, none, 0, 0, "cluster", "",
     "All ranges of slots, each with its node.", cluster_slots, constant},

    {"dht.lookup", 2, none, 0, 0, "dht", "key",
     "Asks its way to the key's owner and answers the hops: identifier, "
     "address, the rule that chose it, microseconds.", dht_lookup},
    {"dht.mode", 2, fast, 0, 0, "dht", "proxy|redirect",
     "Are commands on other nodes' keys passed on, or answered with MOVED?",
     dht_mode},
    {"dht.next", -2, fast, 0, 0, "dht", "key | ID identifier",
     "The next step towards a key, from this node's own table: here or "
     "forward, identifier, address, rule.", dht_next},
    {"dht.owner", 2, none, 0, 0, "dht", "key",
     "The key's owner, from the list of members: identifier, address.",
     dht_owner},
    {"dht.table", 1, none, 0, 0, "dht", "",
     "This node's routing table: rule, start, identifier, address.",
     dht_table, constant},
});
// clang-format on

}  // namespace

constexpr protocol::CommandTable<Node> table(rows);

}  // namespace node
