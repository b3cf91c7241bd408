// Guards the keyring (ekeyd/config/keyring.h): text that people edit, and the file that ekey-rekey changes.
// Promise: a key that is found is one of the text's lines, the last of its serial number; no sentence about a
// skipped line holds a key; after an update the new key is found, and every other key and line is as it was.
#include <map>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "ekeyd/config/keyring.h"
#include "ekeyd/runtime/handle.h"
#include "tests/fuzz/fuzz.h"

using namespace ekey;
using namespace ekey::fuzz;
using config::Keyring;
using entropykey::LongTermKey, entropykey::Serial;

namespace {

constexpr std::string_view blanks = " \t\r\n";

std::string word(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
    const std::string found(line.substr(0, line.find_first_of(blanks)));
    line.remove_prefix(found.size());
    return found;
}

// The format, said once more and in few words: SERIAL KEY, the last line of a serial number counts.
std::map<Serial, LongTermKey> keys_of(std::string_view text) {
    std::map<Serial, LongTermKey> keys;
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const auto serial = entropykey::parse_serial(word(line));
        const auto key = entropykey::parse_long_term_key(word(line));
        if (serial && key)
            keys.insert_or_assign(*serial, *key);
    }
    return keys;
}

void check_same(const Keyring& keyring, const std::map<Serial, LongTermKey>& keys) {
    must(keyring.size() == keys.size(), "every serial number is held once");
    for (const auto& [serial, key] : keys) {
        const LongTermKey* found = keyring.find(serial);
        must(found != nullptr && *found == key, "a serial number's key is that of its last line");
    }
    for (const std::string& skipped : keyring.skipped())
        must(skipped.starts_with("line ") && skipped.size() < 200,
             "a skipped line is named, and not repeated");
}

// Files that are updated lie in memory where there is room for that: an update waits for the disk.
class Folder {
  public:
    Folder()
        : path_(::access("/dev/shm", W_OK) == 0 ? "/dev/shm/fuzz-keyring.XXXXXX"
                                                : "/tmp/fuzz-keyring.XXXXXX") {
        must(::mkdtemp(path_.data()) != nullptr, "a folder for keyrings can be made");
    }
    ~Folder() {
        ::unlink(file().c_str());
        ::rmdir(path_.c_str());
    }
    std::string file() const { return path_ + "/keyring"; }

  private:
    std::string path_;
};

void check_update(std::string_view text, const Serial& serial, const LongTermKey& key) {
    static const Folder folder;
    const std::string path = folder.file();
    {
        const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        must(file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
             "a keyring can be written");
    }
    auto keys = keys_of(text);
    keys.insert_or_assign(serial, key);
    must(Keyring::update(path, serial, key).has_value(), "a keyring of any text can be updated");
    const auto after = Keyring::read(path);
    must(after.has_value(), "an updated keyring can be read");
    check_same(*after, keys);
    // No line of its own was added for what is skipped.
    must(after->skipped().size() <= Keyring::parse(text).skipped().size(), "no other line is made or spoilt");
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const bool ready = (init_secrets(), true);
    must(ready, "libsodium starts");
    Input in({data, size});
    const Byte choice = in.byte();
    const std::string_view text = as_text(in.rest());
    const auto keys = keys_of(text);
    check_same(Keyring::parse(text), keys);
    if (choice % 4 == 0) { // one in four, since it is slow: of a serial number that is there, or a new one
        const auto chosen = keys.begin();
        Serial serial{{choice}};
        if (choice % 8 == 0 && chosen != keys.end())
            serial = chosen->first;
        LongTermKey key;
        std::fill_n(key.data(), key.size(), choice);
        check_update(text, serial, key);
    }
    return 0;
}
