// Where messages and progress go: standard error, with one line that is redrawn where it is a
// terminal. Not thread-safe.
#pragma once

#include <string>

namespace longstride {

class Terminal {
 public:
  Terminal();
  ~Terminal() { EndLine(); }

  [[nodiscard]] bool interactive() const { return interactive_; }
  // Columns, asked anew because windows are resized.
  [[nodiscard]] int Width() const;

  // Replaces the line that is being redrawn.
  void Draw(const std::string& line);
  // Ends the drawn line, so that what follows starts on a new one.
  void EndLine();
  // A whole line above the one being redrawn.
  void Print(const std::string& line);

 private:
  bool interactive_;
  std::string drawn_;
};

// How often SIGINT, SIGTERM or SIGHUP came in since CatchInterrupts, which makes them countable. A
// SIGINT or SIGHUP that is ignored already, as under nohup, stays so.
void CatchInterrupts();
[[nodiscard]] int InterruptCount();

}  // namespace longstride
