// What headers of newer C++ libraries call and the one of GCC 8 lacks. std::vector asks for this
// where an element count overflows, which would throw; the addon is built without exceptions.
#include <cstdlib>

// NOLINTNEXTLINE(cert-dcl58-cpp): it is the library's own function
namespace std {

// NOLINTBEGIN(bugprone-reserved-identifier): and its own name
[[noreturn]] void __throw_bad_array_new_length();
[[noreturn]] void __throw_bad_array_new_length() { abort(); }
// NOLINTEND(bugprone-reserved-identifier)

}  // namespace std
