#define BOOST_TEST_MODULE model
#include <support/test_module.hpp>

#include <model/relacy.hpp>

// Relacy's own forms of these see memory that is used after its end, and are inline: here they are for the whole
// program, with the forms that it has not.
// NOLINTBEGIN(misc-new-delete-overloads)
[[gnu::used]] void* (*const kept_new)(std::size_t) = &::operator new;
[[gnu::used]] void* (*const kept_new_array)(std::size_t) = &::operator new[];
[[gnu::used]] void (*const kept_delete)(void*) = &::operator delete;
[[gnu::used]] void (*const kept_delete_array)(void*) = &::operator delete[];
void operator delete(void* memory, std::size_t) noexcept { ::operator delete(memory); }
void operator delete[](void* memory, std::size_t) noexcept { ::operator delete[](memory); }
// NOLINTEND(misc-new-delete-overloads)
