// Test vectors: JSON files of tests/vectors, read with Boost's property tree.
#pragma once

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#define BOOST_BIND_GLOBAL_PLACEHOLDERS // what that header includes would be told of otherwise
#include <boost/property_tree/json_parser.hpp>
#include <boost/property_tree/ptree.hpp>

#include "protocol/bytes.h"

namespace ekey::test {

using Vectors = boost::property_tree::ptree;

// The folder comes from the test's environment (EKEYD_VECTORS). Throws when the file is not there or no JSON.
inline Vectors load_vectors(const std::string& file) {
    const char* folder = std::getenv("EKEYD_VECTORS");
    if (folder == nullptr)
        throw std::runtime_error("EKEYD_VECTORS is not set: run this through meson test");
    Vectors tree;
    boost::property_tree::read_json(std::string(folder) + "/" + file, tree);
    return tree;
}

inline std::vector<Byte> from_hex(const std::string& hex) {
    std::vector<Byte> bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(static_cast<Byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

inline std::vector<Byte> hex_at(const Vectors& vector, const char* name) {
    return from_hex(vector.get<std::string>(name));
}

template <std::size_t N>
std::array<Byte, N> array_at(const Vectors& vector, const char* name) {
    const auto bytes = hex_at(vector, name);
    if (bytes.size() != N)
        throw std::runtime_error(std::string("vector ") + name + " has the wrong size");
    std::array<Byte, N> array;
    std::copy(bytes.begin(), bytes.end(), array.begin());
    return array;
}

template <class Bytes>
std::vector<Byte> to_vector(const Bytes& bytes) {
    return {bytes.begin(), bytes.end()};
}

} // namespace ekey::test
