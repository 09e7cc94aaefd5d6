// The fuzzer's way to the reference: finds programs on which the pool and the reference differ. `tests/run --only fuzz`
// builds and starts it; new finds and what fails go to .build/fuzz. To renew the corpus:
//   .build/fuzz/fuzz_pool -set_cover_merge=1 -use_counters=0 -use_cmp=0 NEW_CORPUS .build/fuzz/found_pool
//   tests/fuzz/corpus_pool
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <support/reference_driver.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    lido::test::play_on_pool_and_reference({data, size});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz_pool: %s\nreplay with .build/fuzz/fuzz_pool and the file named below\n", error.what());
    std::abort();
  }
  return 0;
}
