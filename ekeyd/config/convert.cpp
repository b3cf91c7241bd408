#include "ekeyd/config/convert.h"

#include <algorithm>

namespace ekey::config {

std::string write_converted(std::string_view text, const std::string& name,
                            const std::vector<Given>& settings) {
    std::string out = "# ekeyd --convert: from " + name + ", in the form of ekeyd 1.1.5\n";
    for (std::size_t number = 1; !text.empty(); ++number) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
        line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
        const std::string comment = "\n# line " + std::to_string(number) + ": " + std::string(line);
        const std::string where = name + ':' + std::to_string(number);
        bool said = false;
        for (const Given& given : settings) {
            if (given.where == where) {
                out += (said ? "" : comment + '\n') + given.name + " = " + given.value + '\n';
                said = true;
            }
        }
    }
    return out;
}

} // namespace ekey::config
