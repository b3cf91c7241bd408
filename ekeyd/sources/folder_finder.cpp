#include "ekeyd/sources/folder_finder.h"

#include <filesystem>
#include <utility>

namespace ekey {

FolderFinder::FolderFinder(Loop& loop, const config::Address& address, FinderOwner& owner, Duration interval)
    : Finder(address.text, owner), kind_(address.kind), folder_(address.rest), interval_(interval),
      timer_(loop) {
    for (const auto& [name, value] : address.parameters) {
        parameters_ += ',' + name + '=' + config::escaped(value);
    }
    timer_.bind<&FolderFinder::look>(this);
    timer_.start(Duration::zero());
}

void FolderFinder::look() {
    timer_.start(interval_);
    std::set<std::string> now;
    std::error_code error;
    std::filesystem::directory_iterator entry(folder_, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        now.insert(entry->path().filename().string());
    }
    const std::set<std::string> before = std::exchange(there_, now);
    for (const std::string& name : now) {
        if (!before.contains(name)) {
            found(kind_ + ':' + config::escaped(folder_ + name) + parameters_);
        }
    }
}

} // namespace ekey
