#include "cli/progress.h"

#include <algorithm>
#include <vector>

#include "cli/text_table.h"
#include "core/base/format.h"

namespace longstride {
namespace {

constexpr double kWindowSeconds = 10;
constexpr int kBarColumns = 20;

// A bar of eighths: "████▌     ".
std::string Bar(double fraction) {
  static const char* const kPartial[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = std::clamp(static_cast<int>(fraction * kBarColumns * 8), 0, kBarColumns * 8);
  std::string bar = "▕";
  for (int i = 0; i < eighths / 8; ++i) bar += "█";
  bar += kPartial[eighths % 8];
  const int drawn = eighths / 8 + (eighths % 8 > 0 ? 1 : 0);
  return bar + std::string(static_cast<size_t>(kBarColumns - drawn), ' ') + "▏";
}

// A piece of the line; those with the highest `rank` are dropped first.
struct Piece {
  int rank;
  std::string text;
};

std::string Join(const std::vector<Piece>& pieces, int up_to_rank) {
  std::string line;
  for (const Piece& piece : pieces) {
    if (piece.rank > up_to_rank || piece.text.empty()) continue;
    if (!line.empty()) line += "  ";
    line += piece.text;
  }
  return line;
}

}  // namespace

void Progress::Add(const RoundRecord& record) {
  totals_.Add(record);
  Recent now{static_cast<double>(record.common().samples), 0};
  for (const RoundReport& own : record.reports)
    now.seconds = std::max(now.seconds, own.wall_seconds);
  recent_.push_back(now);
  window_.samples += now.samples;
  window_.seconds += now.seconds;
  while (recent_.size() > 1 && window_.seconds - recent_.front().seconds >= kWindowSeconds) {
    window_.samples -= recent_.front().samples;
    window_.seconds -= recent_.front().seconds;
    recent_.pop_front();
  }
}

double Progress::SamplesPerSecond() const {
  return window_.seconds > 0 ? window_.samples / window_.seconds : 0;
}

double Progress::SecondsLeft() const {
  const double rate = SamplesPerSecond();
  if (max_samples_ <= 0 || rate <= 0) return 0;
  return static_cast<double>(std::max<int64_t>(0, max_samples_ - totals_.cursor)) / rate;
}

double Progress::Fraction() const {
  if (max_samples_ <= 0) return 0;
  return std::min(1.0, static_cast<double>(totals_.cursor) / static_cast<double>(max_samples_));
}

std::string Progress::RenderLine(int width) const {
  const RunTotals& t = totals_;
  const double left = SecondsLeft();
  std::vector<Piece> pieces;
  pieces.push_back({0, "round " + FormatCount(t.last_round)});
  if (max_samples_ > 0) pieces.push_back({3, Bar(Fraction())});
  if (max_samples_ > 0) pieces.push_back({1, Format("%.0f%%", Fraction() * 100)});
  pieces.push_back({4, FormatCount(static_cast<int64_t>(SamplesPerSecond())) + " samples/s"});
  pieces.push_back({5, "B " + FormatCount(t.global_batch)});
  pieces.push_back({6, "H " + FormatCount(t.local_steps)});
  pieces.push_back({1, Format("loss %.4g", t.loss)});
  if (t.evaluation_accuracy)
    pieces.push_back({2, Format("acc %.2f%%", *t.evaluation_accuracy * 100)});
  pieces.push_back({8, Format("comm %.1f%%", t.CommunicationShare() * 100)});
  pieces.push_back({7, "sent " + FormatBytes(t.SentBytesPerWorker()) + "/worker"});
  if (left > 0) pieces.push_back({2, "ETA " + FormatSeconds(left)});
  for (int rank = 8; rank > 0; --rank) {
    std::string line = Join(pieces, rank);
    if (DisplayWidth(line) <= static_cast<size_t>(std::max(0, width))) return line;
  }
  return Join(pieces, 0).substr(0, static_cast<size_t>(std::max(0, width)));
}

std::string Progress::RenderPlain() const {
  const RunTotals& t = totals_;
  std::string line = "round " + FormatCount(t.last_round);
  if (max_samples_ > 0) line += Format(" (%.1f%%)", Fraction() * 100);
  line += ": " + FormatCount(static_cast<int64_t>(SamplesPerSecond())) +
          " samples/s, global batch " + FormatCount(t.global_batch) + ", H " +
          FormatCount(t.local_steps) + Format(", loss %.4g", t.loss);
  if (t.evaluation_accuracy) line += Format(", accuracy %.2f%%", *t.evaluation_accuracy * 100);
  line += Format(", communication %.1f%%", t.CommunicationShare() * 100) + ", sent " +
          FormatBytes(t.SentBytesPerWorker()) + " per worker";
  if (SecondsLeft() > 0) line += ", ETA " + FormatSeconds(SecondsLeft());
  return line;
}

}  // namespace longstride
