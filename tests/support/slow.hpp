// Whether everything takes much longer than usual, because a sanitizer watches.
#pragma once

namespace lido::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool slow = true;
#elif defined(__has_feature)
inline constexpr bool slow = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool slow = false;
#endif

}  // namespace lido::test
