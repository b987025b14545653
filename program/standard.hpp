#pragma once
// What most sources include of the standard library, compiled once
// (mk/headers.mk). A source includes what it uses nevertheless: with a
// sanitizer and for coverage it is compiled without this.

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>
