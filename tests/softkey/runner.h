// Joins a device to a line: moves bytes, keeps the time, writes down the plaintext, pulls the plug.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ekeyd/runtime/handle.h"
#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/secret.h"
#include "tests/softkey/device.h"
#include "tests/softkey/dongle.h"
#include "tests/softkey/line.h"

namespace ekey::softkey {

class Runner final : public Dongle, LineOwner, DeviceOwner {
  public:
    struct Setup {
        Locked<Identity> identity;
        std::unique_ptr<Noise> noise, nonces;
        std::vector<Fault> faults;
        double rate = 0;
        Fd plaintext_log; // or none
        // Keeps a new long-term key over restarts; or none.
        std::function<Result<void>(const entropykey::LongTermKey&)> keep;
    };
    Runner(Loop& loop, std::unique_ptr<Line> line, Setup setup);

    Result<void> start() override;
    const std::string& failure() const override { return failure_; }
    void unplug() override;
    void plug_in() override;
    Result<void> misbehave(Fault fault) override;
    void mend() override;

  private:
    void on_input(ByteView bytes) override;
    void on_writable() override { pump(); }
    void on_host_changed() override;
    void on_powered_up() override;
    void on_plaintext(ByteView bytes) override;
    void on_note(const std::string& sentence) override;
    void on_unplugged(std::optional<Duration> back_after) override;
    bool keep_long_term_key(const entropykey::LongTermKey& key) override;
    void on_noise_changed();
    void on_line_fault(const Fault& fault) override;
    void on_heard_again() { line_->mute(false); }

    void pump();
    void send_output();
    void pull_the_plug();
    void plug_in_again();
    void write_log();

    Loop& loop_;
    std::unique_ptr<Line> line_;
    std::unique_ptr<Noise> noise_, nonces_;
    Locked<Device> device_;
    std::function<Result<void>(const entropykey::LongTermKey&)> keep_;
    Fd plaintext_log_;
    std::vector<Byte> unlogged_;
    bool unplug_ = false, unplugged_ = false;
    std::optional<Duration> back_after_;
    Timer device_timer_, plug_timer_, mute_timer_;
    std::string failure_;
};

} // namespace ekey::softkey
