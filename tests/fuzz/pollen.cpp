// Guards the form that clients of a pollen listener send (protocol/pollen/pollen.h).
// Promise: a challenge is never empty nor longer than the form, nor is one found without its name; put into a
// form again it is the same one, whatever stands behind it; the first line of an answer depends on the
// challenge alone and the second one on the seed.
#include "protocol/pollen/pollen.h"

#include <string>

#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;

namespace {

std::string answer(std::string_view challenge, std::span<const Byte, pollen::seed_size> seed) {
    std::string text(pollen::answer_size, ' ');
    pollen::write_answer(challenge, seed, std::span<char, pollen::answer_size>(text));
    return text;
}

void check_answer(const std::string& challenge) {
    std::array<Byte, pollen::seed_size> zeros{}, ones{};
    ones.fill(0xff);
    const std::string one = answer(challenge, zeros), other = answer(challenge, ones);
    const std::size_t line = pollen::line_size;
    must(one.find_first_not_of("0123456789abcdef\n") == std::string::npos, "an answer is hex and newlines");
    must(one[line - 1] == '\n' && one.find('\n', line) == one.size() - 1, "it has two lines");
    must(one.substr(0, line) == other.substr(0, line), "the first line is the challenge's");
    must(one.substr(line) == std::string(line - 1, '0') + '\n', "the second is the seed's");
    must(other.substr(line) == std::string(line - 1, 'f') + '\n', "the second is the seed's");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view form = as_text({data, size});
    pollen::is_form(form);
    const auto challenge = pollen::find_challenge(form);
    if (!challenge) {
        return 0;
    }
    must(!challenge->empty() && challenge->size() < form.size(), "a challenge is a part of the form");
    std::string again = "x=1&challenge=";
    for (const char c : *challenge) {
        const char* const digits = "0123456789ABCDEF";
        const auto byte = static_cast<unsigned char>(c);
        again += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    must(pollen::find_challenge(again) == challenge,
         "a challenge is the same when it is put into a form again");
    must(pollen::find_challenge(again + '&' + std::string(form)) == challenge, "the first one counts");
    check_answer(*challenge);
    return 0;
}
