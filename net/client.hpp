#pragma once
// All that a model's client is built from.

#include "net/address.hpp"
#include "net/clock.hpp"
#include "net/error.hpp"
#include "net/mailbox.hpp"
#include "net/model.hpp"
#include "net/table.hpp"
