//! Makes deterministic choices: the same seed gives the same identifiers, names and times on any machine.

/// Milliseconds in one day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// Spreads a seed and a number over all 64 bits, using the finalizer of SplitMix64. It is a bijection, so different
/// numbers with one seed never collide.
pub(crate) fn mix(seed: u64, number: u64) -> u64 {
    let mut word = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A separate seed per list, so that adding rows to one list never changes another.
pub(crate) fn list_seed(seed: u64, list: &str) -> u64 {
    list.bytes().fold(mix(seed, 0), |seed, byte| mix(seed, u64::from(byte)))
}

/// An identifier like Clerk's: a prefix and 27 letters and digits.
pub(crate) fn identifier(random: &mut fastrand::Rng, prefix: &str) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(prefix.len() + 27);
    text.push_str(prefix);
    // 62^9 < 2^54: nine letters per draw.
    for _ in 0..3 {
        let mut word = random.u64(..);
        for _ in 0..9 {
            text.push(char::from(LETTERS[(word % 62) as usize]));
            word /= 62;
        }
    }
    text
}

/// `digits` hexadecimal digits.
pub(crate) fn hexadecimal(random: &mut fastrand::Rng, digits: usize) -> String {
    (0..digits).filter_map(|_| char::from_digit(random.u32(0..16), 16)).collect()
}

/// True once in `n` draws on average.
pub(crate) fn one_in(random: &mut fastrand::Rng, n: u32) -> bool {
    random.u32(0..n) == 0
}

/// One of these values.
pub(crate) fn pick<'a>(random: &mut fastrand::Rng, values: &[&'a str]) -> &'a str {
    values[random.usize(0..values.len())]
}

/// Given names: ordinary ones, and every kind of text that has broken an export somewhere.
pub(crate) const FIRST_NAMES: &[&str] = &[
    "Ada",
    "Grace",
    "Alan",
    "Barbara",
    "Edsger",
    "Radia",
    "Ken",
    "Margaret",
    "Tim",
    "Frances",
    "Linus",
    "Katherine",
    "Dennis",
    "Hedy",
    "Donald",
    "Joan",
    "Zoë",
    "José",
    "Łukasz",
    "Nguyễn",
    "李",
    "さくら",
    "محمد",
    "שרה",
    "Ольга",
    "👩🏽‍🚀 Sally",
    "Anne \"Annie\"",
    "line\nbreak",
    "back\\slash",
    "tab\tbed",
    "<b>Bold</b>",
    "=1+1",
    "{\"json\":true}",
    " padded ",
];

/// Family names of the same kinds.
pub(crate) const LAST_NAMES: &[&str] = &[
    "Lovelace",
    "Hopper",
    "Turing",
    "Liskov",
    "Dijkstra",
    "Perlman",
    "Thompson",
    "Hamilton",
    "Berners-Lee",
    "Allen",
    "Torvalds",
    "Johnson",
    "Ritchie",
    "Lamarr",
    "Knuth",
    "Clarke",
    "O'Brien",
    "Müller",
    "García",
    "Øresund",
    "王",
    "佐藤",
    "الخوارزمي",
    "כהן",
    "Иванова",
    "🦀",
    "de la Cruz",
    "van \u{202e}der",
    "Smith, Jr.",
];

/// Organization names.
pub(crate) const COMPANY_NAMES: &[&str] = &[
    "Acme",
    "Globex",
    "Initech",
    "Umbrella",
    "Hooli",
    "Stark",
    "Wayne",
    "Wonka",
    "Tyrell",
    "Cyberdyne",
    "Blåbær",
    "株式会社サンプル",
    "شركة",
    "Smith & \"Sons\"",
    "Café 🍰",
    "Null",
];

/// The second part of an organization's name.
pub(crate) const COMPANY_KINDS: &[&str] =
    &["Corporation", "Labs", "Industries", "Group", "Foundation", "GmbH", "Ltd."];
