// A TrainingJob's status for people, from what the API server says of it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace longstride {

// One job in full. `events` are about it; the last five are shown. `now`: Unix seconds.
[[nodiscard]] std::string RenderJob(const nlohmann::json& job,
                                    const std::vector<nlohmann::json>& events, double now);

// One line for each job, with a heading.
[[nodiscard]] std::string RenderJobs(const std::vector<nlohmann::json>& jobs, double now);

// "round 12, accuracy 90.56 %, 4/4 workers ready": one line for a job that is being waited for.
[[nodiscard]] std::string ProgressLine(const nlohmann::json& job);

// The condition of that type has status True.
[[nodiscard]] bool Holds(const nlohmann::json& job, const std::string& type);
// "Reason: message" of the condition of that type; empty if there is none.
[[nodiscard]] std::string ConditionText(const nlohmann::json& job, const std::string& type);

}  // namespace longstride
