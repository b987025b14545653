#include "tests/tools/count_allocations.hpp"
