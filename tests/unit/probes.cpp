// The places at which the operating system's tracers can look, as the program's own file lists them.
#include <lido/detail/probes.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <map>
#include <set>
#include <sstream>
#include <string>
#if defined __linux__ && __has_include(<sys/sdt.h>)
#  include <link.h>
#endif

#include <lido/pool.hpp>

#if defined __unix__  // else there is no readelf
#  include <support/output_of.hpp>

BOOST_AUTO_TEST_SUITE(probes_)

namespace {

std::string notes_of_this_program() { return lido::test::output_of("readelf -n /proc/$PPID/exe 2>/dev/null"); }

// Where the probes of lido are, by their names.
std::map<std::string, std::set<std::uintptr_t>> probes() {
  std::map<std::string, std::set<std::uintptr_t>> found;
  std::istringstream notes{notes_of_this_program()};
  std::string provider, name;
  for (std::string word; notes >> word;) {
    if (word == "Provider:") notes >> provider;
    if (word == "Name:") notes >> name;
    if (word == "Location:" && notes >> word && provider == "lido")
      found[name].insert(static_cast<std::uintptr_t>(std::stoull(word, nullptr, 16)));
  }
  return found;
}

}  // namespace

#  if defined __linux__ && __has_include(<sys/sdt.h>)

BOOST_AUTO_TEST_CASE(a_program_lists_its_probes_and_each_is_one_instruction_that_does_nothing) {
  lido::Pool pool{[] { return 1; }};
  pool.acquire().release();
  if (notes_of_this_program().empty()) return;  // without readelf
  const auto found = probes();
  std::set<std::string> names;
  for (const auto& [name, places] : found) names.insert(name);
  BOOST_TEST(names == (std::set<std::string>{"acquire", "close", "open", "release", "wait"}),
             boost::test_tools::per_element());
#    if defined __x86_64__
  std::uintptr_t base = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* program, std::size_t, void* to) {
        *static_cast<std::uintptr_t*>(to) = program->dlpi_addr;
        return 1;  // the program itself comes first
      },
      &base);
  for (const auto& [name, places] : found)
    for (const std::uintptr_t place : places)
      // NOLINTNEXTLINE(performance-no-int-to-ptr): that is where its code is
      BOOST_TEST(int{*reinterpret_cast<const unsigned char*>(base + place)} == 0x90, name);
#    endif
}

#  else

BOOST_AUTO_TEST_CASE(without_the_header_there_are_none) { BOOST_TEST(probes().empty()); }

#  endif

BOOST_AUTO_TEST_SUITE_END()

#endif
