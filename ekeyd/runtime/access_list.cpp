#include "ekeyd/runtime/access_list.h"

#include <cerrno>
#include <cstring>
#include <vector>

#include <endian.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>

namespace ekey {

namespace {

// What the kernel keeps of a list, as setxattr(2) takes it (linux/posix_acl_xattr.h). Entries stand in the
// order of their tags.
class List {
  public:
    List() {
        const posix_acl_xattr_header header{htole32(POSIX_ACL_XATTR_VERSION)};
        append(&header, sizeof header);
    }
    void add(unsigned tag, unsigned permissions, unsigned id = static_cast<unsigned>(ACL_UNDEFINED_ID)) {
        const posix_acl_xattr_entry entry{htole16(static_cast<std::uint16_t>(tag)),
                                          htole16(static_cast<std::uint16_t>(permissions)), htole32(id)};
        append(&entry, sizeof entry);
    }
    bool set(const std::string& path) const {
        return ::lsetxattr(path.c_str(), "system.posix_acl_access", bytes_.data(), bytes_.size(), 0) == 0;
    }

  private:
    void append(const void* data, std::size_t size) {
        const auto* const first = static_cast<const char*>(data);
        bytes_.insert(bytes_.end(), first, first + size);
    }
    std::vector<char> bytes_;
};

} // namespace

Result<void> share_file(const std::string& path, unsigned mode, std::optional<uid_t> user,
                        std::optional<gid_t> group) {
    const unsigned owners = (mode >> 6) & 7u, groups = (mode >> 3) & 7u, others = mode & 7u;
    List list;
    list.add(ACL_USER_OBJ, owners);
    if (user) {
        list.add(ACL_USER, owners, *user);
    }
    list.add(ACL_GROUP_OBJ, group ? 0 : groups);
    if (group) {
        list.add(ACL_GROUP, groups, *group);
    }
    list.add(ACL_MASK, groups | (user ? owners : 0)); // the most that those named may have
    list.add(ACL_OTHER, others);
    if (!list.set(path)) {
        return fail(std::strerror(errno));
    }
    return {};
}

} // namespace ekey
