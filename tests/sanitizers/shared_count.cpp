// Part of every test program that is built with the thread sanitizer.
//
// A shared_ptr may be owned on both sides of a library that is not built with it. The sanitizer
// then sees our owner let go, and the library's, the last one, delete the object, but not the
// count that orders the two: a race to its eyes. Libraries call the count's release as a weak
// function that the first to have it provides to all of them; a program comes before its
// libraries, so the copy that is emitted here, which the sanitizer understands, serves them too.
#include <memory>

namespace {
[[gnu::used]] const auto kRelease = &std::_Sp_counted_base<__gnu_cxx::_S_atomic>::_M_release;
}  // namespace
