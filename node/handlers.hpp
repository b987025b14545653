#pragma once
// The commands' answers, by group; the table in commands.cpp says what each of
// them takes and does.

#include "node/commands.hpp"

namespace node {

/// A field of a map, and its value.
inline void field(protocol::Reply& reply, std::string_view name,
                  std::string_view value) {
  reply.bulk(name);
  reply.bulk(value);
}
inline void field(protocol::Reply& reply, std::string_view name,
                  std::int64_t value) {
  reply.bulk(name);
  reply.integer(value);
}

// connection_commands.cpp
void ping(const Call& call);
void echo(const Call& call);
void hello(const Call& call);
void select(const Call& call);
void quit(const Call& call);
void asking(const Call& call);
void readonly(const Call& call);
void client_getname(const Call& call);
void client_id(const Call& call);
void client_setinfo(const Call& call);
void client_setname(const Call& call);

// key_commands.cpp
void get(const Call& call);
void set(const Call& call);
void del(const Call& call);
void exists(const Call& call);
void dbsize(const Call& call);
void flushall(const Call& call);

// server_commands.cpp
void info(const Call& call);
void config_get(const Call& call);

// table_commands.cpp: those that tell of the table
void command(const Call& call);
void command_count(const Call& call);
void command_docs(const Call& call);
void command_info(const Call& call);
void help(const Call& call);

// cluster_commands.cpp
void cluster_countkeysinslot(const Call& call);
void cluster_info(const Call& call);
void cluster_keyslot(const Call& call);
void cluster_myid(const Call& call);
void cluster_nodes(const Call& call);
void cluster_shards(const Call& call);
void cluster_slots(const Call& call);

// dht_commands.cpp
void dht_lookup(const Call& call);
void dht_mode(const Call& call);
void dht_next(const Call& call);
void dht_owner(const Call& call);
void dht_table(const Call& call);

}  // namespace node
