#pragma once
// All that a model's server is built from.

#include "net/clients.hpp"
#include "net/conversation.hpp"
#include "net/deadlines.hpp"
#include "net/error.hpp"
#include "net/list.hpp"
#include "net/listener.hpp"
#include "net/mailbox.hpp"
#include "net/model.hpp"
#include "net/table.hpp"
