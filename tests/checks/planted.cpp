// Reads what was never written, for the test that memcheck would say so.
#include <cstdio>
#include <memory>

int main() {
    const std::unique_ptr<volatile char[]> bytes(new volatile char[16]);
    std::puts(bytes[7] == 0 ? "zero" : "other");
    return 0;
}
