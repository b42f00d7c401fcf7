/*
 * test_flag_split.c - shares of users in the definition of a flag.
 */
#include "control/engine/flag_split.h"

#include "proxy/base/mem.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <jansson.h>

/* A flag with RULE, split 20 to "on", 70 to "off", 10 to "new"; WANT: its rule, or the reason.
 */
static void expect(const char *rule, const char *want)
{
    static const struct flag_share shares[] = {{"off", 70}, {"on", 20}, {"new", 10}};
    json_t *flag = json_pack("{s:{s:i,s:i,s:i},s:o}", "variants", "on", 1, "off", 2, "new", 3,
                             "targeting", json_loads(rule, 0, NULL)),
           *out, *wanted;
    char *why = NULL;

    out = flag_split(flag, shares, 3, &why);
    wanted = json_loads(want, 0, NULL);
    if (wanted) {
        ck_assert_msg(out != NULL, "%s: %s", rule, why);
        ck_assert_msg(json_equal(json_object_get(out, "targeting"), wanted), "%s: %s", rule,
                      json_dumps(out, 0));
    } else {
        ck_assert_msg(!out && strstr(why, want), "%s: %s", rule, why ? why : "no reason");
    }
    xfree(why);
    json_decref(wanted);
    json_decref(out);
    json_decref(flag);
}

START_TEST(buckets_keep_their_order)
{
    expect("{}", "{\"fractional\":[[\"off\",70],[\"on\",20],[\"new\",10]]}");
    expect("{\"fractional\":[[\"on\",1],[\"off\",99]]}",
           "{\"fractional\":[[\"on\",20],[\"new\",10],[\"off\",70]]}");
    expect("{\"fractional\":[{\"var\":\"team\"},[\"on\"],[\"new\",0],[\"off\",9]]}",
           "{\"fractional\":[{\"var\":\"team\"},[\"on\",20],[\"new\",10],[\"off\",70]]}");
    expect("{\"if\":[{\"var\":\"x\"},\"on\",{\"fractional\":[[\"on\",1],[\"new\",1],[\"off\",1]"
           "]}]}",
           "{\"if\":[{\"var\":\"x\"},\"on\",{\"fractional\":[[\"on\",20],[\"new\",10],[\"off\","
           "70]]}]}");
}
END_TEST

START_TEST(rules_without_one_split_are_refused)
{
    expect("{\"var\":\"x\"}", "no fractional");
    expect("{\"if\":[1,{\"fractional\":[[\"on\",1]]},{\"fractional\":[[\"off\",1]]}]}",
           "several");
    expect("{\"fractional\":[[\"on\",{\"var\":\"w\"}],[\"off\",1]]}", "computed");
    expect("{\"fractional\":[[{\"var\":\"v\"},1],[\"off\",1]]}", "computed");
}
END_TEST

START_TEST(shares_are_variants_and_some)
{
    json_t *flag = json_pack("{s:{s:i,s:i}}", "variants", "on", 1, "off", 2);
    static const struct flag_share none[] = {{"on", 0}, {"off", 0}}, other[] = {{"blue", 1}};
    static const struct flag_share many[] = {{"on", 2147483647}, {"off", 1}};
    char *why = NULL;

    ck_assert_ptr_null(flag_split(flag, none, 2, &why));
    xfree(why);
    ck_assert_ptr_null(flag_split(flag, other, 1, &why));
    xfree(why);
    ck_assert_ptr_null(flag_split(flag, many, 2, &why));
    xfree(why);
    json_decref(flag);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("flag_split");
    TCase *t = tcase_create("flag_split");

    tcase_add_test(t, buckets_keep_their_order);
    tcase_add_test(t, rules_without_one_split_are_refused);
    tcase_add_test(t, shares_are_variants_and_some);
    suite_add_tcase(s, t);
    return unit_run(s);
}
