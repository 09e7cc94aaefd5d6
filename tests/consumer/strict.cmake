# A project whose warnings are errors, and which wants nearly all of them: another's headers give it none.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wuseless-cast -Wlogical-op
                      -Wswitch-default -Wshadow -Werror)
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  add_compile_options(-Weverything -Wno-c++98-compat -Wno-c++98-compat-pedantic -Wno-pre-c++20-compat-pedantic
                      -Wno-c++20-compat -Wno-padded -Wno-unsafe-buffer-usage -Wno-unknown-warning-option -Werror)
endif()
