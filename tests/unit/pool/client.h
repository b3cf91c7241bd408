// A Taker that asks for the same each time, and what the tests of turns share.
#pragma once

#include <memory>
#include <vector>

#include <doctest/doctest.h>

#include "ekeyd/pool/pool.h"

namespace ekey::test {

struct Client : Taker {
    explicit Client(std::size_t size, int rounds = 1) : size_(size), rounds_(rounds) {}
    std::size_t wanted() const override { return size_; }
    bool serve(Pool& pool) override {
        std::vector<Byte> out(size_);
        REQUIRE(pool.size() >= size_);
        REQUIRE(pool.take(out));
        got_ += size_;
        if (order_ != nullptr) {
            order_->push_back(this);
        }
        return --rounds_ > 0;
    }
    std::size_t size_;
    int rounds_;
    std::size_t got_ = 0;
    std::vector<Client*>* order_ = nullptr;
};

inline void put(Pool& pool, std::size_t count) {
    pool.put(std::vector<Byte>(count, 1));
}

// Jain, Chiu and Hawe 1984: 1 when all have the same, 1/n when one has all.
inline double jain(const std::vector<std::unique_ptr<Client>>& clients) {
    double sum = 0, squares = 0;
    for (const auto& client : clients) {
        const auto x = static_cast<double>(client->got_);
        sum += x;
        squares += x * x;
    }
    return sum * sum / (static_cast<double>(clients.size()) * squares);
}

} // namespace ekey::test
