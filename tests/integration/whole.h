// What every run keeps to, as its rounds.jsonl shows it.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "core/protocol/round_record.h"
#include "core/schedule/ledger.h"

namespace longstride {

// Rounds follow each other and keep the law of the ledger: in the end every position below the
// cursor was counted once.
inline void ExpectWhole(const std::vector<RoundRecord>& rounds) {
  int64_t round = 0;
  Ledger ledger;
  for (const RoundRecord& record : rounds) {
    const RoundReport& common = record.common();
    EXPECT_EQ(common.round, ++round);
    EXPECT_EQ(common.cursor_begin, ledger.cursor());
    const Status booked = ledger.Record({common.committed, common.discarded, common.lost});
    ASSERT_TRUE(booked.ok()) << "round " << round << ": " << booked.error().message;
    EXPECT_EQ(common.samples, TotalSize(common.committed));
    for (const RoundReport& own : record.reports) EXPECT_EQ(own.digest, common.digest);
  }
  EXPECT_TRUE(ledger.Check().ok());
  EXPECT_TRUE(ledger.holes().empty());
  EXPECT_EQ(ledger.committed().size(), ledger.cursor());
}

}  // namespace longstride
