// Several requests at the same time.
#pragma once

#include <future>
#include <span>
#include <vector>

namespace longstride {

// What `ask` answers for each of `items`, in their order: asked at once, the first of them on this
// thread. Without a thread to be had a request waits for the others.
template <typename Item, typename Ask>
[[nodiscard]] auto AtOnce(std::span<Item> items, const Ask& ask) {
  using Answer = decltype(ask(items.front()));
  std::vector<Answer> answers;
  if (items.empty()) return answers;
  std::vector<std::future<Answer>> others;
  for (Item& item : items.subspan(1)) others.push_back(std::async([&] { return ask(item); }));
  answers.push_back(ask(items.front()));
  for (auto& other : others) answers.push_back(other.get());
  return answers;
}

}  // namespace longstride
