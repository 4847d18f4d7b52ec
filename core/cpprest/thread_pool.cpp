#include "core/cpprest/thread_pool.h"

// clang-format off
#include <utility>  // boost/asio.hpp uses std::exchange without it
#include <pplx/threadpool.h>
// clang-format on

#include <exception>
#include <mutex>

#include "core/base/log.h"

namespace longstride {

void StartCpprestPool() {
  static std::once_flag once;
  std::call_once(once, [] {
    try {
      crossplat::threadpool::initialize_with_threads(kCpprestThreads);
    } catch (const std::exception& e) {  // somebody used the library before
      LogWarning("http", std::string("cpprestsdk's threads are more than wanted: ") + e.what());
    }
  });
}

}  // namespace longstride
