// A dongle that just sends noise, in software: OneRNG and TrueRNG. Only on USB.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ekeyd/runtime/loop.h"
#include "tests/softkey/dongle.h"
#include "tests/softkey/line.h"
#include "tests/softkey/noise.h"

namespace ekey::softkey {

class StreamDongle final : public Dongle, LineOwner {
  public:
    // What it waits for before it sends.
    enum class Kind {
        truerng, // DTR
        onerng,  // DTR, and the command cmdO; cmdo stops it
    };
    // `rate` in bytes a second.
    StreamDongle(Loop& loop, Kind kind, std::unique_ptr<Line> line, std::unique_ptr<Noise> noise,
                 double rate);

    Result<void> start() override;
    const std::string& failure() const override { return failure_; }
    void unplug() override;
    void plug_in() override;
    Result<void> misbehave(Fault fault) override; // stall and mute
    void mend() override;

  private:
    void on_input(ByteView bytes) override;
    void on_writable() override { send(); }
    void on_host_changed() override { power_on(); }
    void on_powered_up() override { power_on(); }
    void on_dtr(bool on) override;

    void power_on();
    void obey(const std::string& command);
    void update(); // after what decides whether it sends
    void make_noise();
    void send();

    Kind kind_;
    std::unique_ptr<Line> line_;
    std::unique_ptr<Noise> noise_;
    double rate_;
    Timer tick_;
    bool dtr_ = false, started_ = false;
    std::string command_; // not complete
    std::vector<Byte> output_;
    double owed_ = 0; // part of a byte
    std::string failure_;
};

} // namespace ekey::softkey
