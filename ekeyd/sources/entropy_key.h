// The Simtec Entropy Key, over any link.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ekeyd/runtime/loop.h"
#include "ekeyd/runtime/secret.h"
#include "ekeyd/sources/entropy_key_statistics.h"
#include "ekeyd/sources/link.h"
#include "ekeyd/sources/source.h"
#include "protocol/entropykey/session.h"

namespace ekey {

class EntropyKey final : public Source, private LinkOwner {
  public:
    // The long-term key of a serial, or null. The pointer is used at once and not kept.
    using KeyLookup = std::function<const entropykey::LongTermKey*(const entropykey::Serial&)>;

    // `path` names the key in lists and logs. With `expected`, a key of another serial is refused.
    EntropyKey(Loop& loop, std::string path, LinkOpener open, KeyLookup lookup,
               std::optional<entropykey::Serial> expected);

    Result<void> start(SourceOwner& owner, bool must_open) override;
    void pause(bool on) override;
    void reset() override;
    void keyring_changed() override;
    SourceStatus status() const override;
    void add_statistics(Statistics& out) const override;
    DeviceFigures figures() const override;

    // What the key sends is the output of its own hash, which it fills with 3,000 to 5,000 bits of noise for
    // each 256 (README.security of ekeyd 1.1.5). 7 of 8 bits, as ekeyd 1.1.5 credited, leaves a margin.
    double default_min_entropy() const override { return 7.0; }

  private:
    void on_bytes(ByteView bytes) override;
    void on_writable() override;
    void on_lost(const std::string& why) override;

    void open_or_retry();
    Result<void> open();
    void close(const std::string& why);
    void on_retry();
    void on_deadline();
    void handle(const entropykey::Event& event);
    void on_state(entropykey::State from, entropykey::State to);
    void on_no_use(std::optional<unsigned> version);
    void answer_key_request(const entropykey::Serial& serial);
    void after_session_call();
    bool is_expected() const;  // the serial number that it told
    bool frames_break() const; // one after the other

    Loop& loop_;
    std::string path_;
    LinkOpener open_;
    KeyLookup lookup_;
    std::optional<entropykey::Serial> expected_;
    SourceOwner* owner_ = nullptr;

    Locked<entropykey::Session> session_;
    std::unique_ptr<Link> link_, lost_link_; // a lost link lives until the loop is out of its callback
    Timer retry_, deadline_;
    Duration retry_after_;
    Time opened_{};
    entropykey::Counters before_; // when it was opened
    FipsPace fips_pace_;
    std::uint64_t links_ = 0;
    bool fresh_ = true;       // the session began anew since it last ran
    bool unanswered_ = false; // the key did not answer the last request in time
    bool no_use_told_ = false;
    std::string trouble_; // for `list`: of the link that was lost, until another one delivers
    std::uint64_t framing_errors_before_ = 0; // when it was opened, or the newest entropy came
};

} // namespace ekey
