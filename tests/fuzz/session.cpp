// Guards the session (protocol/entropykey/session.h). Random bytes alone get no further than its first MAC,
// so the input is a list of deeds: a device that holds the right keys speaks (sense and nonsense), an
// attacker on the wire replays, spoils, cuts, inserts and forges what needs no key, the owner gives keys, and
// time passes. Promise: plaintext comes out only of a frame that the device made under a session key, once,
// in the order of sequence numbers; without the right long-term key nothing comes out at all; and whatever
// has happened, a device that is honest again is heard again within half an hour.
#include <map>
#include <string>
#include <vector>

#include "protocol/entropykey/session.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/scripted_key.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::entropykey;
using namespace std::chrono_literals;

namespace {

// The same input has to do the same each time. That it is weak is part of the test: nonces differ all the
// same.
void no_random(ByteSpan out) {
    std::fill(out.begin(), out.end(), Byte{7});
}

LongTermKey key_of(Byte value) {
    LongTermKey key;
    std::fill_n(key.data(), key.size(), value);
    return key;
}

constexpr Serial serial{{'f', 'u', 'z', 'z', 0, 1, 2, 3, 4, 5, 6, 7}};
constexpr Serial other_serial{{'o', 't', 'h', 'e', 'r'}};

// One block that the device has sealed. Each has a plaintext of its own.
struct Block {
    unsigned epoch; // which session key of the device's
    std::uint16_t sequence;
    bool delivered = false;
};

class World {
  public:
    World() : session_(no_random), device_(serial, key_of(1)) {
        session_.start(now_);
        take_events();
    }

    void act(fuzz::Input& in);
    void end_well();

  private:
    static constexpr std::size_t longest_line = 4096; // bytes on their way; more teaches nothing

    void device_says(const std::string& frames) {
        history_.push_back(frames);
        line_ += frames;
        line_.resize(std::min(line_.size(), longest_line));
    }
    void device_seals(std::uint16_t sequence) {
        std::array<Byte, block_size> plain{};
        const auto number = static_cast<std::uint32_t>(blocks_.size());
        plain.fill(static_cast<Byte>(0x50 + number % 16));
        std::memcpy(plain.data(), &number, sizeof number);
        if (epoch_ != 0) // before it has a session key, the device's words are sealed with nothing
            blocks_.emplace(std::string(as_text(plain)), Block{epoch_, sequence});
        device_says(device_.entropy(sequence, plain));
        next_ = sequence + 1u;
    }
    void device_hears() {
        const std::string commands(as_text(session_.pending_output()));
        must(commands.size() <= 32, "at most 32 bytes wait to be sent");
        session_.consume_output(commands.size());
        for (const char c : commands) {
            const std::string answer = device_.answer(as_bytes({&c, 1}));
            if (answer.starts_with("* S"))
                epoch_ = 0; // its session key is zero
            if (answer.starts_with("* K")) {
                epoch_ = ++epochs_;
                next_ = 0;
            }
            if (!answer.empty())
                device_says(answer);
        }
    }
    void host_hears(std::size_t bytes, Cuts cuts) {
        const std::string stream = line_.substr(0, bytes);
        line_.erase(0, bytes);
        fed_ += stream.size();
        ByteView rest = as_bytes(stream);
        while (!rest.empty()) {
            ByteView piece = cuts.next(rest);
            while (!piece.empty()) {
                const auto [used, event] = session_.receive(piece, now_);
                must(used <= piece.size(), "no more is used than was given");
                piece = piece.subspan(used);
                take(event);
            }
            take_events();
        }
    }
    // To and fro until both are silent; a re-key is two turns.
    void converse() {
        for (int turn = 0; turn < 8 && !(line_.empty() && session_.pending_output().empty()); ++turn) {
            device_hears();
            host_hears(line_.size(), Cuts(0));
        }
    }
    void pass(Duration time) {
        now_ += time;
        take(session_.handle_timeout(now_));
        take_events();
    }
    void give(const LongTermKey& key) {
        session_.provide_key(key, now_);
        right_key_given_ = right_key_given_ || key == key_of(1);
        take_events();
    }

    void take_events() {
        for (;;) {
            const auto [used, event] = session_.receive({}, now_);
            if (std::holds_alternative<std::monostate>(event))
                return;
            take(event);
        }
    }
    void take(const Event& event) {
        if (const auto* entropy = std::get_if<Entropy>(&event))
            take_plaintext(*entropy);
        if (std::holds_alternative<NeedKey>(event)) {
            if (owner_ == Owner::right)
                give(key_of(1));
            else if (owner_ == Owner::wrong)
                give(key_of(2));
            else if (owner_ == Owner::has_none)
                session_.refuse_key(now_);
        }
        must(right_key_given_ || session_.state() != State::running,
             "no session runs without the right long-term key");
    }
    void take_plaintext(const Entropy& entropy) {
        const auto block = blocks_.find(std::string(as_text(entropy.plaintext)));
        must(block != blocks_.end(),
             "plaintext comes only of a frame that the device made under a session key");
        auto& [epoch, sequence, delivered] = block->second;
        must(!delivered, "no block comes twice");
        must(sequence == entropy.sequence, "a block comes with its sequence number");
        must(epoch > last_epoch_ || (epoch == last_epoch_ && sequence > last_sequence_),
             "sequence numbers only go up under one session key");
        delivered = true;
        last_epoch_ = epoch;
        last_sequence_ = sequence;
        ++delivered_;
    }

    enum class Owner { right, wrong, has_none, slow };

    Session session_;
    test::ScriptedKey device_;
    Time now_{1h};
    Owner owner_ = Owner::right;
    bool right_key_given_ = false;

    std::string line_; // from the device to the host
    std::vector<std::string> history_;
    std::map<std::string, Block> blocks_;
    unsigned epoch_ = 0, epochs_ = 0, next_ = 0;
    unsigned last_epoch_ = 0, last_sequence_ = 0;
    std::uint64_t fed_ = 0, delivered_ = 0;
};

void World::act(fuzz::Input& in) {
    switch (in.byte() % 20) {
    case 0: converse(); break;
    case 1: device_hears(); break;
    case 2: host_hears(in.byte(), Cuts(in.byte())); break;
    case 3:
        device_seals(static_cast<std::uint16_t>(std::min<unsigned>(next_, entropykey::last_sequence)));
        break;
    case 4: device_seals(in.word() & entropykey::last_sequence); break;
    case 5: device_says(device_.info(std::string(as_text(in.take(in.byte() % (payload_size + 1)))))); break;
    case 6: device_says(device_.text(PacketType::rekey_needed)); break;
    case 7: { // any content with a right MAC; entropy is sealed above, where it is noted
        const char type = static_cast<char>(in.byte()), encoding = static_cast<char>(in.byte());
        std::array<Byte, payload_size> payload;
        payload.fill(' ');
        const ByteView some = in.take(payload_size);
        std::copy(some.begin(), some.end(), payload.begin());
        if (type != static_cast<char>(PacketType::entropy) || encoding != '!')
            device_says(device_.any(type, encoding, payload));
        break;
    }
    case 8: // the device is unplugged and comes back
        device_.forget();
        epoch_ = 0;
        device_says(device_.serial_frame());
        break;
    case 9: // the attacker's part of it: replay,
        if (!history_.empty())
            line_ += history_[in.word() % history_.size()];
        break;
    case 10: // spoil,
        if (!line_.empty())
            line_[in.word() % line_.size()] ^= static_cast<char>(in.byte());
        break;
    case 11: // cut,
        if (!line_.empty())
            line_.erase(in.word() % line_.size(), in.byte());
        break;
    case 12: // insert,
        line_.insert(line_.empty() ? 0 : in.word() % line_.size(), as_text(in.take(in.byte())));
        break;
    case 13: { // swap two frames,
        const std::size_t at = in.byte() % 8 * frame_size;
        if (line_.size() >= at + 2 * frame_size)
            std::swap_ranges(line_.begin() + static_cast<std::ptrdiff_t>(at),
                             line_.begin() + static_cast<std::ptrdiff_t>(at + frame_size),
                             line_.begin() + static_cast<std::ptrdiff_t>(at + frame_size));
        break;
    }
    case 14: { // forge under the zero session key, which everyone knows
        test::ScriptedKey forger(in.byte() % 2 ? serial : other_serial, key_of(3));
        const char type = "SIWEkKMLlB"[in.byte() % 10];
        const std::uint16_t sub_code = in.word() & entropykey::last_sequence;
        if (type == 'S')
            line_ += forger.serial_frame();
        else if (type == 'E' || type == 'K' || type == 'L')
            line_ += forger.binary(static_cast<PacketType>(type), sub_code,
                                   std::array<Byte, block_size>{in.byte()});
        else
            line_ += forger.text(static_cast<PacketType>(type),
                                 std::string(as_text(in.take(in.byte() % (payload_size + 1)))));
        break;
    }
    case 15: pass(std::chrono::milliseconds(in.word())); break;
    case 16: pass(std::chrono::seconds(in.word() % 600)); break;
    case 17: owner_ = static_cast<Owner>(in.byte() % 4); break;
    case 18: give(key_of(in.byte() % 2 ? 1 : 2)); break;
    default:
        if (in.byte() % 2)
            session_.start(now_);
        else
            session_.resume(now_);
        take_events();
    }
    line_.resize(std::min(line_.size(), longest_line));
}

void World::end_well() {
    line_.clear();
    owner_ = Owner::right;
    give(key_of(1));
    const Time end = now_ + 30min;
    const std::uint64_t before = delivered_;
    while (delivered_ == before) {
        converse();
        if (epoch_ != 0 && next_ <= entropykey::last_sequence)
            device_seals(static_cast<std::uint16_t>(next_));
        else if (epoch_ != 0)
            device_says(device_.text(PacketType::rekey_needed));
        converse();
        if (delivered_ != before)
            break;
        must(session_.deadline() != Time::max(), "a session that waits for nothing is running");
        pass(std::max(Duration(1ms), session_.deadline() - now_));
        must(now_ < end, "an honest device is heard again");
    }
    must(session_.counters().bytes_read == fed_, "bytes read are counted");
    must(session_.counters().entropy_bytes == delivered_ * block_size, "bytes of entropy are counted");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input in({data, size});
    World world;
    for (int deeds = 0; deeds < 200 && !in.empty(); ++deeds)
        world.act(in);
    world.end_well();
    return 0;
}
