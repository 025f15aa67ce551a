#include <openssl/pem.h>
#include <string.h>

#include "proto/base/hex.h"
#include "tests/unit/pki.h"

static const char cluster[] = "5f0c1d2e-cluster";
static struct pki pki;

static void set_up(void)
{
    pki_init(&pki, cluster);
}

static void tear_down(void)
{
    pki_fini(&pki);
}

START_TEST(a_certificate_says_who_its_node_is)
{
    struct authority_grant grant = grant_of(cluster, IDENTITY_WORKER, 0x7123456789abcdefu);
    struct node_files node;
    struct identity identity;
    char key[IDENTITY_KEY_CHARS + 1];

    node_files_init(&node, &pki, grant);
    ck_assert_int_eq(identity_of_pem(bytes_of(&node.certificate), &identity), 0);
    ck_assert_str_eq(identity.cluster, cluster);
    ck_assert_int_eq(identity.role, IDENTITY_WORKER);
    ck_assert_uint_eq(identity.id, 0x7123456789abcdefu);
    ck_assert_int_eq(identity.not_before, grant.now_s - AUTHORITY_BACKDATE_S);
    ck_assert_int_eq(identity.not_after, grant.now_s + AUTHORITY_LIFE_S);
    ck_assert_int_eq(authority_request_key(bytes_of(&node.request), key), 0);
    ck_assert_str_eq(identity.key, key);
    node_files_fini(&node);
}
END_TEST

START_TEST(another_request_is_for_the_same_key)
{
    scope(buffer_fini) struct buffer key = {0}, first = {0}, again = {0};
    char keys[2][IDENTITY_KEY_CHARS + 1];

    authority_request(&key, &first);
    ck_assert_int_eq(authority_request_again(bytes_of(&key), &again), 0);
    ck_assert_int_eq(authority_request_key(bytes_of(&first), keys[0]), 0);
    ck_assert_int_eq(authority_request_key(bytes_of(&again), keys[1]), 0);
    ck_assert_str_eq(keys[0], keys[1]);
    ck_assert_int_eq(authority_request_again(bytes_of(&first), &again), AUTHORITY_MALFORMED);
}
END_TEST

START_TEST(no_two_certificates_have_one_serial)
{
    scope(buffer_fini) struct buffer again = {0};
    struct authority_grant grant = grant_of(cluster, IDENTITY_MANAGER, 1);
    uint8_t digests[2][IDENTITY_DIGEST_BYTES];
    struct node_files node;

    node_files_init(&node, &pki, grant);
    ck_assert_int_eq(authority_issue(pki.authority, &grant, bytes_of(&node.request), &again), 0);
    ck_assert_int_eq(identity_pem_digest(bytes_of(&node.certificate), digests[0]), 0);
    ck_assert_int_eq(identity_pem_digest(bytes_of(&again), digests[1]), 0);
    ck_assert_mem_ne(digests[0], digests[1], sizeof digests[0]);
    node_files_fini(&node);
}
END_TEST

START_TEST(a_key_that_is_not_the_authority_s_opens_nothing)
{
    struct authority *authority = NULL;
    struct node_files node;
    struct pki other;

    pki_init(&other, cluster);
    node_files_init(&node, &pki, grant_of(cluster, IDENTITY_MANAGER, 1));
    ck_assert_int_eq(authority_open(bytes_of(&pki.ca), bytes_of(&other.ca_key), &authority),
                     AUTHORITY_MALFORMED);
    ck_assert_int_eq(authority_open(bytes_of(&node.certificate), bytes_of(&node.key), &authority),
                     AUTHORITY_MALFORMED); /* A node is no authority. */
    ck_assert_int_eq(authority_open((struct bytes){"", 0}, (struct bytes){"", 0}, &authority),
                     AUTHORITY_MALFORMED);
    ck_assert_ptr_null(authority);
    node_files_fini(&node);
    pki_fini(&other);
}
END_TEST

/* A request for a key of this kind, signed with it or not. */
static void make_request(struct buffer *out, EVP_PKEY *key, EVP_PKEY *signer)
{
    scope(x509_req_free) X509_REQ *request = X509_REQ_new();

    ck_assert_int_eq(X509_REQ_set_pubkey(request, key), 1);
    ck_assert_int_gt(X509_REQ_sign(request, signer, EVP_sha256()), 0);
    pem_put_request(out, request);
}

static int try_issue(struct bytes request)
{
    scope(buffer_fini) struct buffer out = {0};
    struct authority_grant grant = grant_of(cluster, IDENTITY_MANAGER, 1);
    int r = authority_issue(pki.authority, &grant, request, &out);

    ck_assert(r == 0 || out.len == 0);
    return r;
}

START_TEST(only_a_proven_key_of_our_kind_is_signed)
{
    scope(pkey_free) EVP_PKEY *ours = EVP_EC_gen("P-256"), *others = EVP_EC_gen("P-256");
    scope(pkey_free) EVP_PKEY *rsa = EVP_RSA_gen(2048), *curve = EVP_EC_gen("P-384");
    scope(buffer_fini) struct buffer good = {0}, stolen = {0}, of_rsa = {0}, of_curve = {0};
    scope(buffer_fini) struct buffer large = {0};

    make_request(&good, ours, ours);
    make_request(&stolen, ours, others);
    make_request(&of_rsa, rsa, rsa);
    make_request(&of_curve, curve, curve);
    ck_assert_int_eq(try_issue(bytes_of(&good)), 0);
    ck_assert_int_eq(try_issue(bytes_of(&stolen)), AUTHORITY_MALFORMED);
    ck_assert_int_eq(try_issue(bytes_of(&of_rsa)), AUTHORITY_MALFORMED);
    ck_assert_int_eq(try_issue(bytes_of(&of_curve)), AUTHORITY_MALFORMED);
    ck_assert_int_eq(try_issue((struct bytes){"nonsense", 8}), AUTHORITY_MALFORMED);
    ck_assert_int_eq(try_issue((struct bytes){NULL, 0}), AUTHORITY_MALFORMED);
    memset(buffer_extend(&large, IDENTITY_PEM_BYTES), '\n', IDENTITY_PEM_BYTES);
    buffer_append(&large, good.base, good.len);
    ck_assert_int_eq(try_issue(bytes_of(&large)), AUTHORITY_MALFORMED);
}
END_TEST

START_TEST(a_certificate_is_renewed_between_half_and_four_fifths_of_its_life)
{
    struct identity identity = {.not_before = 1000, .not_after = 2000};

    ck_assert_int_eq(identity_renewal(&identity, 0), 1500);
    ck_assert_int_eq(identity_renewal(&identity, 300), 1800);
    ck_assert_int_eq(identity_renewal(&identity, 301), 1500);
    for (uint64_t chance = 0; chance < 1000; chance++) {
        ck_assert_int_ge(identity_renewal(&identity, chance * 7919), 1500);
        ck_assert_int_le(identity_renewal(&identity, chance * 7919), 1800);
    }
}
END_TEST

START_TEST(a_short_life_is_backdated_by_a_tenth)
{
    struct authority_grant grant = grant_of(cluster, IDENTITY_MANAGER, 1);
    struct node_files node;
    struct identity identity;

    grant.life_s = 10;
    node_files_init(&node, &pki, grant);
    ck_assert_int_eq(identity_of_pem(bytes_of(&node.certificate), &identity), 0);
    ck_assert_int_eq(identity.not_before, grant.now_s - 1);
    ck_assert_int_eq(identity.not_after, grant.now_s + 10);
    node_files_fini(&node);
}
END_TEST

START_TEST(an_authority_s_certificate_is_no_node_s)
{
    struct identity identity;

    ck_assert_int_eq(identity_of_pem(bytes_of(&pki.ca), &identity), IDENTITY_MALFORMED);
    ck_assert_int_eq(identity_of_pem((struct bytes){"x", 1}, &identity), IDENTITY_MALFORMED);
}
END_TEST

static X509_NAME *name_of(const char *const *parts, int type)
{
    static const int nids[] = {NID_organizationName, NID_organizationalUnitName, NID_commonName,
                               NID_commonName};
    X509_NAME *name = X509_NAME_new();

    for (int i = 0; i < 4; i++)
        if (parts[i])
            ck_assert_int_eq(X509_NAME_add_entry_by_NID(name, nids[i], type,
                                                        (const unsigned char *)parts[i], -1, -1, 0),
                             1);
    return name;
}

static const struct {
    const char *why;
    const char *parts[4]; /* O, OU, CN, CN again. */
    int type;
    int outcome;
} subjects[] = {
    {"as it should be", {"c", "worker", "000000000000000a"}, V_ASN1_UTF8STRING, 0},
    {"no cluster", {NULL, "worker", "000000000000000a"}, V_ASN1_UTF8STRING, IDENTITY_MALFORMED},
    {"no role", {"c", NULL, "000000000000000a"}, V_ASN1_UTF8STRING, IDENTITY_MALFORMED},
    {"no id", {"c", "worker", NULL}, V_ASN1_UTF8STRING, IDENTITY_MALFORMED},
    {"two ids", {"c", "worker", "000000000000000a", "000000000000000b"}, V_ASN1_UTF8STRING, 1},
    {"an id of 0", {"c", "worker", "0000000000000000"}, V_ASN1_UTF8STRING, IDENTITY_MALFORMED},
    {"a short id", {"c", "worker", "a"}, V_ASN1_UTF8STRING, IDENTITY_MALFORMED},
    {"capitals", {"c", "worker", "000000000000000A"}, V_ASN1_UTF8STRING, IDENTITY_MALFORMED},
    {"unknown role", {"c", "boss", "000000000000000a"}, V_ASN1_UTF8STRING, IDENTITY_MALFORMED},
    {"a blank", {"c d", "worker", "000000000000000a"}, V_ASN1_UTF8STRING, IDENTITY_MALFORMED},
    {"another kind of text",
     {"c", "worker", "000000000000000a"},
     V_ASN1_T61STRING,
     IDENTITY_MALFORMED},
};

START_TEST(a_subject_is_read_strictly)
{
    scope(x509_free) X509 *certificate = X509_new();
    scope(pkey_free) EVP_PKEY *key = EVP_EC_gen("P-256");
    X509_NAME *name = name_of(subjects[_i].parts, subjects[_i].type);
    struct identity identity;

    X509_set_pubkey(certificate, key);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 60);
    X509_set_subject_name(certificate, name);
    X509_NAME_free(name);
    ck_assert_msg(identity_of(certificate, &identity) == subjects[_i].outcome, "%s",
                  subjects[_i].why);
}
END_TEST

START_TEST(hex_is_read_strictly)
{
    uint8_t bytes[3] = {0};
    char text[7];

    ck_assert_str_eq(hex_put((const uint8_t *)"\x00\xa9\xff", 3, text), "00a9ff");
    ck_assert(hex_get("00a9ff and more", 3, bytes));
    ck_assert_mem_eq(bytes, "\x00\xa9\xff", 3);
    ck_assert(!hex_get("00a9f", 3, bytes));
    ck_assert(!hex_get("00A9ff", 3, bytes));
    ck_assert(!hex_get("", 1, bytes));
}
END_TEST

static TCase *case_of_authority(void)
{
    TCase *tc = tcase_create("authority");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_certificate_says_who_its_node_is);
    tcase_add_test(tc, another_request_is_for_the_same_key);
    tcase_add_test(tc, no_two_certificates_have_one_serial);
    tcase_add_test(tc, a_key_that_is_not_the_authority_s_opens_nothing);
    tcase_add_test(tc, only_a_proven_key_of_our_kind_is_signed);
    tcase_add_test(tc, a_certificate_is_renewed_between_half_and_four_fifths_of_its_life);
    tcase_add_test(tc, a_short_life_is_backdated_by_a_tenth);
    tcase_add_test(tc, an_authority_s_certificate_is_no_node_s);
    return tc;
}

static TCase *case_of_texts(void)
{
    TCase *tc = tcase_create("texts");

    tcase_add_loop_test(tc, a_subject_is_read_strictly, 0, sizeof subjects / sizeof subjects[0]);
    tcase_add_test(tc, hex_is_read_strictly);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("authority");
    SRunner *sr;
    int failed;

    suite_add_tcase(s, case_of_authority());
    suite_add_tcase(s, case_of_texts());
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
