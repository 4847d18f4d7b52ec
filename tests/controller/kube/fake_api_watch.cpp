// The watches of FakeApi, and the faults that befall them.
#include <poll.h>

#include <algorithm>

#include "core/base/format.h"
#include "tests/controller/kube/fake_api.h"

namespace longstride::kube {
namespace {

std::string Chunk(std::string_view bytes) {
  return Format("%zx\r\n", bytes.size()) + std::string(bytes) + "\r\n";
}

const char* UsualReason(int status) {
  switch (status) {
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 409:
      return "Conflict";
    case 410:
      return "Expired";
    case 422:
      return "Invalid";
    case 429:
      return "TooManyRequests";
    case 503:
      return "ServiceUnavailable";
    case 504:
      return "Timeout";
    default:
      return "InternalError";
  }
}

}  // namespace

void FakeApi::RunWatch(FakeConnection& connection, const FakeRequest& request,
                       const ObjectPath& path, const std::optional<FakeFault>& fault) {
  Watching watching(connection);
  {
    const std::lock_guard lock(watches_mutex_);
    watches_.insert(&watching);
  }
  WatchToEnd(watching, request, path, fault);
  const std::lock_guard lock(watches_mutex_);
  watches_.erase(&watching);
}

void FakeApi::WatchToEnd(Watching& watching, const FakeRequest& request, const ObjectPath& path,
                         const std::optional<FakeFault>& fault) {
  FakeConnection& connection = watching.connection;
  std::vector<Text> lines;
  std::optional<WatchCursor> cursor =
      store_.Open(path, request.Query("labelSelector"), NameIn(request.Query("fieldSelector")),
                  request.Query("resourceVersion"), lines);
  if (!connection.Write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Transfer-Encoding: chunked\r\n\r\n")) {
    return;
  }
  if (!cursor) {
    SendError(connection, Refuse(410, "Expired", "too old resource version"));
    return;
  }
  // What changed since that version: no bell rings for it any more.
  for (Text& line : store_.Read(*cursor)) lines.push_back(std::move(line));
  const bool bookmarks = request.Query("allowWatchBookmarks") == "true";
  const long seconds = std::strtol(request.Query("timeoutSeconds").c_str(), nullptr, 10);
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::seconds(seconds > 0 ? seconds : 3600);
  int left = fault && fault->after_events ? *fault->after_events : -1;
  Progress();
  while (true) {
    for (const Text& line : lines) {
      if (left == 0) {
        if (fault->stream_error) {
          SendError(connection, Injected(*fault));
        } else {  // the line's first half
          (void)connection.Write(Format("%zx\r\n", line->size()) +
                                 line->substr(0, line->size() / 2));
        }
        return;
      }
      if (!connection.Write(Chunk(*line))) return;
      if (left > 0) --left;
    }
    if (left == 0 && fault->stream_error) {
      SendError(connection, Injected(*fault));
      return;
    }
    const auto rest = until - std::chrono::steady_clock::now();
    if (rest.count() <= 0) {
      (void)connection.Write("0\r\n\r\n");
      return;
    }
    const auto wait = std::min<Duration>(rest, options_.bookmark_period);
    pollfd ready[] = {{watching.bell.fd(), POLLIN, 0}, {connection.socket(), POLLIN, 0}};
    const auto limit = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
    const int woken = poll(ready, 2, static_cast<int>(limit));
    if (ready[1].revents != 0) return;  // the peer sends nothing while it watches: it has gone
    watching.bell.Quiet();
    lines = store_.Read(*cursor);
    if (cursor->expired) {
      SendError(connection, Refuse(410, "Expired", "the watch fell behind"));
      return;
    }
    if (woken == 0 && bookmarks) {
      lines.push_back(store_.Bookmark(*cursor));
      const std::lock_guard lock(progress_mutex_);
      ++counts_.bookmarks;
    }
  }
}

void FakeApi::SendError(FakeConnection& connection, const StoreReply& status) {
  (void)connection.Write(Chunk(R"({"type":"ERROR","object":)" + *status.body + "}\n") +
                         "0\r\n\r\n");
}

StoreReply FakeApi::Injected(const FakeFault& fault) {
  const std::string reason = fault.reason.empty() ? UsualReason(fault.status) : fault.reason;
  return Refuse(fault.status, reason, fault.message);
}

void FakeApi::CutWatches() {
  const std::lock_guard lock(watches_mutex_);
  for (Watching* watch : watches_) watch->connection.Shutdown();
}

}  // namespace longstride::kube
