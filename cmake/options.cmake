# Flags for all of our own code, as the interface library `house`.
add_library(house INTERFACE)
target_include_directories(house INTERFACE ${PROJECT_SOURCE_DIR}) # One root: every include names its layer.
target_compile_definitions(house INTERFACE _GNU_SOURCE CAIS_VERSION="${PROJECT_VERSION}")
target_compile_options(house INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
    -Werror=format-security -Wimplicit-fallthrough -fno-strict-aliasing -fno-omit-frame-pointer)

if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
    target_compile_options(house INTERFACE -Wno-string-conversion) # must(!"what cannot be") says it in words.
endif()

option(CAIS_WERROR "treat warnings as errors" OFF)
if(CAIS_WERROR)
    target_compile_options(house INTERFACE -Werror)
endif()

set(CAIS_SANITIZE "" CACHE STRING "address (with undefined), thread, or empty")
if(CAIS_SANITIZE STREQUAL "address")
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
    add_link_options(-fsanitize=address,undefined)
elseif(CAIS_SANITIZE STREQUAL "thread")
    add_compile_options(-fsanitize=thread)
    add_link_options(-fsanitize=thread)
endif()

option(CAIS_FUZZ "build the fuzz targets (clang)" OFF)
if(CAIS_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link,address,undefined)
    add_link_options(-fsanitize=address,undefined)
endif()

option(CAIS_HARDEN "hardening flags, for release builds" OFF)
if(CAIS_HARDEN)
    add_compile_options(-D_FORTIFY_SOURCE=2 -fstack-protector-strong -ftrivial-auto-var-init=zero
        -fcf-protection=full -fno-delete-null-pointer-checks -fstack-clash-protection)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fzero-call-used-regs=used-gpr)
    endif()
    add_compile_options(-fPIE)
    add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodlopen)
endif()
