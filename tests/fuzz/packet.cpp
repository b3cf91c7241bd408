// Guards the decoders of packets and info reports (protocol/entropykey/packet.h), which a device that has
// gone mad reaches with right MACs. Promise: a packet that is accepted and encoded again gives the same
// frame; a report that is encoded again means the same; what stands behind a malformed block is still
// understood.
#include <string>

#include "protocol/entropykey/packet.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using namespace ekey::entropykey;

namespace {

bool same(const FipsReport& a, const FipsReport& b) {
    return a.blocks == b.blocks && a.failures == b.failures && a.monobit == b.monobit && a.poker == b.poker &&
           a.runs == b.runs;
}
bool same(const GeneratorReport& a, const GeneratorReport& b) {
    return a.raw_bytes == b.raw_bytes && a.raw_left == b.raw_left && a.raw_right == b.raw_right &&
           a.raw_xor == b.raw_xor && a.debiased_left_bytes == b.debiased_left_bytes &&
           a.debiased_left == b.debiased_left && a.debiased_right_bytes == b.debiased_right_bytes &&
           a.debiased_right == b.debiased_right && a.failure == b.failure;
}
template <class T>
bool same(const std::optional<T>& a, const std::optional<T>& b) {
    return a.has_value() == b.has_value() && (!a || same(*a, *b));
}
bool same(const InfoReport& a, const InfoReport& b) {
    return a.temperature == b.temperature && a.voltage == b.voltage && same(a.fips, b.fips) &&
           same(a.generators, b.generators);
}

void check_packet(FrameView frame) {
    const auto packet = decode_packet(frame);
    if (!packet) {
        must(!packet.error().what.empty(), "a refusal says why");
        return;
    }
    static const FrameMac mac{Serial{}, SessionKey()};
    FrameBytes again;
    if (packet->binary) {
        must(packet->payload.size <= packet->payload.bytes.size(), "a payload fits its buffer");
        encode_binary(again, packet->type, packet->payload.sub_code,
                      ByteView(packet->payload.bytes).first(packet->payload.size), mac);
    } else {
        must(packet->text.size() == payload_size && inside(as_bytes(packet->text), frame),
             "text is a view of the frame's payload");
        encode_text(again, packet->type, packet->text, mac);
    }
    must(as_text(frame.subspan<content_offset, content_size>()) ==
             as_text(std::span(again).subspan<content_offset, content_size>()),
         "a packet that is accepted and encoded again gives the same content");
}

// Devices write five digits; more do not fit a frame for every report.
bool five_digits(std::initializer_list<std::uint32_t> values) {
    return std::all_of(values.begin(), values.end(), [](std::uint32_t v) { return v <= 99999; });
}

void check_info(std::string_view text) {
    const InfoReport report = decode_info(text);
    InfoReport more = report;
    more.voltage = 42;
    must(same(decode_info(std::string(text) + " V00042"), more), "a block spoils only itself");

    if (report.temperature && five_digits({*report.temperature})) {
        const InfoReport one{.temperature = report.temperature, .voltage = {}, .fips = {}, .generators = {}};
        must(same(decode_info(encode_info(one)), one), "a temperature survives encoding");
    }
    if (const auto& f = report.fips;
        f && five_digits({f->blocks, f->failures, f->monobit, f->poker, f->runs})) {
        const InfoReport one{.temperature = {}, .voltage = {}, .fips = f, .generators = {}};
        must(same(decode_info(encode_info(one)), one), "a FIPS report survives encoding");
    }
    if (const auto& g = report.generators) {
        must(!failure_name(g->failure).sentence.empty() && !failure_name(g->failure).token.empty(),
             "every failure code has a name");
        if (five_digits({g->raw_bytes, g->raw_left, g->raw_right, g->raw_xor, g->debiased_left_bytes,
                         g->debiased_left, g->debiased_right_bytes, g->debiased_right})) {
            const InfoReport one{.temperature = {}, .voltage = {}, .fips = {}, .generators = g};
            must(same(decode_info(encode_info(one)), one), "a generator report survives encoding");
        }
    }
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView input{data, size};
    check_info(as_text(input));
    FrameBytes frame{};
    std::copy_n(input.begin(), std::min(size, frame_size), frame.begin());
    check_packet(frame);
    return 0;
}
