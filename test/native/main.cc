// ctest runs each test case in a process of its own: some count on being the first to install a
// handler. Run one by hand with --test-case='its name'.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
