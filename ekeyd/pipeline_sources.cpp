// Sources come, go and are named.
#include "ekeyd/pipeline.h"

#include <algorithm>
#include <filesystem>

#include "ekeyd/runtime/log.h"
#include "ekeyd/runtime/refusal.h"

namespace ekey {

namespace {

// Whether a source that is there already is what somebody asks for with these parameters.
Result<void> same_source(const config::Address& wanted, const Stage& known) {
    const SourceStatus status = known.status();
    if (const std::string* serial = wanted.find("serial")) {
        return status.serial.empty() || status.serial == *serial
                   ? Result<void>()
                   : fail(status.path + " is a source already, and its serial number is " + status.serial);
    }
    return wanted.parameters.empty() || wanted.text == known.identity().address
               ? Result<void>()
               : fail(status.path + " is a source already, as " + known.identity().address +
                      ": remove it first");
}

} // namespace

Stage* Pipeline::stage(unsigned number) const {
    const auto found = stages_.find(number);
    return found == stages_.end() ? nullptr : found->second.get();
}

tl::unexpected<Error> Pipeline::no_source(unsigned number) {
    return fail("there is no source number " + std::to_string(number));
}

std::vector<control::SourceRow> Pipeline::sources() const {
    std::vector<control::SourceRow> rows;
    for (const auto& [number, stage] : stages_) {
        rows.push_back({number, stage->status()});
    }
    return rows;
}

Result<unsigned> Pipeline::find(std::string_view id) const {
    for (const auto& [number, stage] : stages_) {
        if (stage->is(id)) {
            return number;
        }
    }
    return fail("no source has the number, serial or path '" + std::string(id) + "'");
}

Result<Statistics> Pipeline::statistics(unsigned number) const {
    const Stage* found = stage(number);
    if (found == nullptr) {
        return no_source(number);
    }
    return found->statistics();
}

Result<std::size_t> Pipeline::free_credit_slot() const {
    for (std::size_t slot = 0; slot < Conditioner::max_sources; ++slot) {
        const auto used = [slot](const auto& entry) { return entry.second->identity().credit_slot == slot; };
        if (std::none_of(stages_.begin(), stages_.end(), used)) {
            return slot;
        }
    }
    return fail("there are " + std::to_string(Conditioner::max_sources) +
                " sources already, the most that fit");
}

Result<unsigned> Pipeline::add_configured_source(std::string_view text) {
    auto address = config::parse_address(text);
    if (!address) {
        return tl::unexpected(address.error());
    }
    return refusal_as_error([&] { return add(std::move(*address), false); });
}

Result<unsigned> Pipeline::add(config::Address address, bool must_open) {
    if (const UsbDriver* driver = finds_many(address)) {
        return add_finder(*driver, address);
    }
    if (finds_in_folder(address)) {
        return add_folder(address);
    }
    auto source = make_source(address, {loop_, [this](const auto& serial) { return keyring_.find(serial); },
                                        [this] { return usb(); }, [this] { return node(); }});
    if (!source) {
        return tl::unexpected(source.error());
    }
    auto claims = parse_claims(address, **source);
    if (!claims) {
        return tl::unexpected(claims.error());
    }
    const std::string path = (*source)->status().path;
    if (auto present = find(path)) {
        // As in 1.1.5, adding again is no error: udev does it for a key that was known before it was pulled
        // out. One that is closed is looked for at once.
        Stage& known = *stage(*present);
        if (auto same = same_source(address, known); must_open && !same) {
            return tl::unexpected(same.error());
        }
        if (known.status().closed) {
            known.reset();
        }
        return *present;
    }
    auto slot = free_credit_slot();
    if (!slot) {
        return tl::unexpected(slot.error());
    }
    const unsigned number = next_number_;
    auto made =
        std::make_unique<Stage>(loop_, Stage::Identity{number, *slot, address.text}, std::move(*source),
                                *claims, silence_, static_cast<StageOutlet&>(*this));
    if (auto started = made->start(must_open); !started) {
        return tl::unexpected(started.error());
    }
    if (paused_) {
        made->pause(true);
    }
    ++next_number_;
    stages_.emplace(number, std::move(made));
    log::notice("source added", {{"source", path}, {"address", address.text}, {"number", number}});
    return number;
}

Result<unsigned> Pipeline::add_finder(const UsbDriver& driver, const config::Address& address) {
    // Its parameters now, and not when the first dongle comes.
    if (auto checked = check_source(address); !checked) {
        return tl::unexpected(checked.error());
    }
    auto backend = usb();
    if (!backend) {
        return tl::unexpected(backend.error());
    }
    if (finder(address.text) == finders_.end()) {
        finders_.push_back(
            {std::make_unique<UsbFinder>(loop_, **backend, driver, address, static_cast<FinderOwner&>(*this)),
             {}});
    }
    return 0;
}

Result<unsigned> Pipeline::add_folder(const config::Address& address) {
    if (auto checked = check_source(address); !checked) {
        return tl::unexpected(checked.error());
    }
    if (finder(address.text) == finders_.end()) {
        finders_.push_back(
            {std::make_unique<FolderFinder>(loop_, address, static_cast<FinderOwner&>(*this)), {}});
    }
    return 0;
}

Result<usb::Backend*> Pipeline::usb() {
    if (!usb_) {
        auto made = make_usb_(loop_);
        if (!made) {
            return tl::unexpected(made.error());
        }
        usb_ = std::move(*made);
    }
    return usb_.get();
}

Result<SealedNode*> Pipeline::node() {
    if (!node_) {
        auto identity = config::Identity::read(identity_path_);
        if (!identity) {
            return tl::unexpected(identity.error());
        }
        node_ = std::make_unique<SealedNode>(std::move(*identity));
        log::info("this host's key for sealed links",
                  {{"public_key", sealed::encode_key(node_->keys().public_key)}});
        node_->on_path_grown([this] {
            for (const auto& listener : listeners_) {
                listener->on_path_grown();
            }
        });
    }
    return node_.get();
}

std::vector<Pipeline::Search>::iterator Pipeline::finder(std::string_view address) {
    return std::find_if(finders_.begin(), finders_.end(),
                        [&](const Search& f) { return f.finder->address() == address; });
}

void Pipeline::on_found(const Finder& by, const std::string& address) {
    const unsigned next = next_number_;
    auto added = add_configured_source(address);
    if (!added) {
        log::error("the dongle cannot be used", {{"address", address}, {"reason", added.error().what}});
    } else if (*added == next) { // and not one that was there already
        finder(by.address())->found.insert(next);
    }
}

Result<unsigned> Pipeline::add_source(std::string_view where, std::optional<std::string_view> serial) {
    config::Address address;
    if (where.starts_with('/')) { // a path, as ekeyd 1.1.5 takes it; it may hold any character
        address.kind = "entropykey";
        address.rest = where;
        address.text = "entropykey:" + address.rest;
    } else {
        auto parsed = config::parse_address(where);
        if (!parsed) {
            return tl::unexpected(parsed.error());
        }
        address = std::move(*parsed);
    }
    if (serial) {
        address.parameters["serial"] = *serial;
    }
    return refusal_as_error([&] { return add(std::move(address), true); });
}

Result<void> Pipeline::add_directory(std::string_view directory) {
    std::error_code error;
    std::filesystem::directory_iterator entry(std::filesystem::path(directory), error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        if (auto added = add_source(entry->path().string(), std::nullopt); !added) {
            log::warning("not added", {{"path", entry->path().string()}, {"reason", added.error().what}});
        }
    }
    if (error) {
        return fail(std::string(directory) + ": " + error.message());
    }
    return {};
}

bool Pipeline::remove_finder(std::string_view address) {
    const auto found = finder(address);
    if (found == finders_.end()) {
        return false;
    }
    const std::set<unsigned> numbers = std::move(found->found);
    finders_.erase(found);
    log::notice("no more dongles are looked for", {{"address", address}});
    for (const unsigned number : numbers) {
        static_cast<void>(remove_source(number)); // one of them may have been removed before
    }
    return true;
}

Result<void> Pipeline::remove_source(unsigned number) {
    const auto found = stages_.find(number);
    if (found == stages_.end()) {
        return no_source(number);
    }
    on_stage_failed(*found->second);
    log::notice("source removed", {{"source", found->second->status().path}, {"number", number}});
    stages_.erase(found);
    return {};
}

Result<void> Pipeline::reset_source(unsigned number) {
    Stage* found = stage(number);
    if (found == nullptr) {
        return no_source(number);
    }
    on_stage_failed(*found);
    found->reset();
    return {};
}

Result<config::Keyring> Pipeline::read_keyring(std::string_view path) {
    auto read = refusal_as_error([&] { return config::Keyring::read(std::string(path)); });
    if (read) {
        for (const std::string& line : read->skipped()) {
            log::warning("keyring line skipped", {{"keyring", path}, {"reason", line}});
        }
        for (const std::string& remark : read->remarks()) {
            log::warning("keyring", {{"keyring", path}, {"remark", remark}});
        }
    }
    return read;
}

void Pipeline::use_keyring(config::Keyring keyring) {
    keyring_ = std::move(keyring);
    for (const auto& [number, stage] : stages_) {
        stage->keyring_changed();
    }
}

Result<std::size_t> Pipeline::load_keyring(std::string_view path) {
    auto read = read_keyring(path);
    if (!read) {
        return tl::unexpected(read.error());
    }
    use_keyring(std::move(*read));
    return keyring_.size();
}

} // namespace ekey
