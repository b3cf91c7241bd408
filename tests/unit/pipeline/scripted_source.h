// A source that does what the test says.
#pragma once

#include <string>

#include "ekeyd/sources/source.h"

namespace ekey::test {

class ScriptedSource final : public Source {
  public:
    // What became of the source, for the test to read after the stage has taken it over.
    struct Record {
        SourceOwner* owner = nullptr;
        bool paused = false;
        int resets = 0;
        SourceStatus status{true, "Running OK", "/dev/scripted", "U0VSSUFMU0VSSUFM"};
    };
    explicit ScriptedSource(Record& record, double min_entropy = 7)
        : record_(record), min_entropy_(min_entropy) {}
    Result<void> start(SourceOwner& owner, bool) override {
        record_.owner = &owner;
        return {};
    }
    void pause(bool on) override { record_.paused = on; }
    void reset() override { ++record_.resets; }
    SourceStatus status() const override { return record_.status; }
    void add_statistics(Statistics& out) const override { out.emplace_back("BytesRead", "17"); }
    double default_min_entropy() const override { return min_entropy_; }

  private:
    Record& record_;
    double min_entropy_;
};

} // namespace ekey::test
