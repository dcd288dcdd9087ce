"""Captions in the manner of COCO, and what their tags should be."""

# In the manner of COCO. The tags were written down before any tagger ran; of two that are right,
# such as "park" and "parked", the one it chose was kept then. Words first, phrases after them.
COCO = [
    ("A man riding a wave on top of a surfboard.", "man, ride, wave, top, surfboard"),
    (
        "Two giraffes standing next to each other in a grassy field.",
        "giraffe, stand, grassy, field; grassy field",
    ),
    (
        "A woman is cutting a large white sheet cake with a knife.",
        "woman, cut, large, white, sheet, cake, knife; sheet cake, white sheet cake",
    ),
    (
        "Several children are playing soccer on a muddy field.",
        "child, play, soccer, muddy, field; muddy field",
    ),
    (
        "A black and white cat sleeping on a laptop keyboard.",
        "black, white, cat, sleep, laptop, keyboard; black and white cat, laptop keyboard",
    ),
    (
        "A red fire hydrant sits on the sidewalk beside parked cars.",
        "red, fire, hydrant, sit, sidewalk, parked, car;fire hydrant, red fire hydrant, parked car",
    ),
    (
        "Three zebras are grazing in the tall dry grass.",
        "zebra, graze, tall, dry, grass; dry grass, tall dry grass",
    ),
    (
        "A bathroom with a white toilet, a sink and a shower curtain.",
        "bathroom, white, toilet, sink, shower, curtain; white toilet, shower curtain",
    ),
    (
        "A young boy wearing a blue baseball cap swings at the ball.",
        "young, boy, wear, blue, baseball, cap, swing, ball;"
        "young boy, baseball cap, blue baseball cap",
    ),
    (
        "An elderly couple sitting on a wooden bench overlooking the ocean.",
        "elderly, couple, sit, wooden, bench, overlook, ocean; elderly couple, wooden bench",
    ),
    (
        "People with umbrellas crossing a busy city street in the rain.",
        "people, umbrella, cross, busy, city, street, rain; city street, busy city street",
    ),
    (
        "A plate of broccoli, rice and grilled chicken on a wooden table.",
        "plate, broccoli, rice, grilled, chicken, wooden, table; grilled chicken, wooden table",
    ),
    (
        "A yellow school bus is parked in front of a brick building.",
        "yellow, school, bus, park, front, brick, building;"
        "school bus, yellow school bus, brick building",
    ),
    (
        "A close up of a slice of pepperoni pizza on a paper plate.",
        "close-up, slice, pepperoni, pizza, paper, plate; pepperoni pizza, paper plate",
    ),
    ("The dog's leash is tied to a metal pole.", "dog, leash, tie, metal, pole; metal pole"),
    (
        "A photo of a small brown bird perched on a bare branch.",
        "small, brown, bird, perch, bare, branch; brown bird, small brown bird, bare branch",
    ),
    (
        "A group of skiers going down a snowy mountain slope.",
        "group, skier, go, snowy, mountain, slope; mountain slope, snowy mountain slope",
    ),
    (
        "A teddy bear and two stuffed rabbits lie on an unmade bed.",
        "teddy, bear, stuffed, rabbit, lie, unmade, bed; teddy bear, stuffed rabbit, unmade bed",
    ),
    (
        "A tennis player serves the ball during a night match.",
        "tennis, player, serve, ball, night, match; tennis player, night match",
    ),
    (
        "Sheep and cows are feeding in a green pasture near a stone wall.",
        "sheep, cow, feed, green, pasture, stone, wall; green pasture, stone wall",
    ),
    (
        "A blurry image of a train pulling into the station at dusk.",
        "blurry, train, pull, station, dusk",
    ),
    (
        "A man in a dark suit and striped tie talks on his cell phone.",
        "man, dark, suit, striped, tie, talk, cell, phone; dark suit, striped tie, cell phone",
    ),
    (
        "Fresh oranges and bananas are displayed at an outdoor market stall.",
        "fresh, orange, banana, display, outdoor, market, stall;"
        "fresh orange, market stall, outdoor market stall",
    ),
    (
        "A girl holds a half-eaten donut up to her mouth.",
        "girl, hold, half-eaten, donut, mouth; half-eaten donut",
    ),
    (
        "A kitchen with stainless steel appliances and granite countertops.",
        "kitchen, stainless, steel, appliance, granite, countertop;"
        "steel appliance, stainless steel appliance, granite countertop",
    ),
    (
        "A large airplane flying through a cloudy blue sky.",
        "large, airplane, fly, cloudy, blue, sky; large airplane, blue sky, cloudy blue sky",
    ),
    (
        "Two women in wet suits carry their surfboards along the beach.",
        "woman, wet, suit, carry, surfboard, beach; wet suit",
    ),
    (
        "A herd of elephants drinking water from a muddy river.",
        "herd, elephant, drink, water, muddy, river; muddy river",
    ),
    (
        "A skateboarder jumps over a set of concrete stairs.",
        "skateboarder, jump, set, concrete, stair; concrete stair",
    ),
    (
        "A vase filled with purple flowers sits on the window sill.",
        "vase, fill, purple, flower, sit, window, sill; purple flower, window sill",
    ),
    (
        "A cluttered desk has a computer monitor, a mouse and coffee cups.",
        "cluttered, desk, computer, monitor, mouse, coffee, cup;"
        "cluttered desk, computer monitor, coffee cup",
    ),
    ("Some kites are flying high above the people at the park.", "kite, fly, people, park"),
    (
        "A traffic light hanging over an empty intersection at night.",
        "traffic, light, hang, empty, intersection, night; traffic light, empty intersection",
    ),
    (
        "A polar bear swims underwater while visitors watch behind the glass.",
        "polar, bear, swim, underwater, visitor, watch, glass; polar bear",
    ),
    (
        "A motorcycle leaned against a rusty fence covered in graffiti.",
        "motorcycle, lean, rusty, fence, cover, graffiti; rusty fence",
    ),
    (
        "Two horses are pulling a carriage full of tourists.",
        "horse, pull, carriage, full, tourist",
    ),
    (
        "A hot dog with mustard and relish in a toasted bun.",
        "hot, dog, mustard, relish, toasted, bun; hot dog, toasted bun",
    ),
    (
        "A clock tower stands tall above old buildings in the town square.",
        "clock, tower, stand, tall, old, building, town, square;"
        "clock tower, old building, town square",
    ),
    (
        "Boats docked in the harbor with snow-covered mountains behind them.",
        "boat, dock, harbor, snow-covered, mountain; snow-covered mountain",
    ),
    (
        "A toddler in pink pajamas brushes her teeth while looking in the mirror.",
        "toddler, pink, pajamas, brush, tooth, look, mirror; pink pajamas",
    ),
]

TAKEN_FOR_PLURALS = ("striped tie talks", "pink pajamas brushes")

OTHERS = {
    "the brief's": (
        "a black dog runs on wet grass",
        "black, dog, run, wet, grass; black dog, wet grass",
    ),
    "upper case": (
        "A BLACK DOG RUNS ON WET GRASS!",
        "black, dog, run, wet, grass; black dog, wet grass",
    ),
    "the image itself": ("a photo of a cat", "cat"),
    "what an image shows": ("This image shows a man. The photo features leaves.", "man, leaf"),
    "how a photo was taken": (
        "a blurry black & white picture of a cat",
        "blurry, black, white, cat",
    ),
    "only the image": ("an image of the picture", ""),
    "close-ups": (
        "closeup of a dog, close-up of a cat, close up of a bee",
        "close-up, dog, cat, bee",
    ),
    "auxiliaries": (
        "a cat has been sleeping; it can be seen and does not have toys",
        "cat, sleep, see, toy",
    ),
    "contractions": ("It's a dog that isn't barking, they don't run", "dog, bark, run"),
    "possessives": ("the men’s hats and the dogs' toys", "man, hat, dog, toy"),
    "numbers": ("2 dogs, 3.5 cats, twenty-one 747 jets and 1,000 people", "dog, cat, jet, people"),
    "irregular plurals": (
        "women, children, mice, geese, knives and wolves",
        "woman, child, mouse, goose, knife, wolf",
    ),
    "not their singulars": (
        "leaves, shorts, sunglasses, veggies",
        "leaf, shorts, sunglasses, veggie",
    ),
    "comparatives": ("a bigger dog", "big, dog; big dog"),
    "participles without a verb": ("a man surfing on a wave", "man, surf, wave"),
    "participles before nouns": (
        "a street parking meter",
        "street, parking, meter; parking meter, street parking meter",
    ),
    "words of a later date": (
        "a giraffe takes selfies with hoverboards",
        "giraffe, take, selfie, hoverboard",
    ),
    "hyphens": (
        "black-and-white t-shirts - new",
        "black-and-white, t-shirt, new; black-and-white t-shirt",
    ),
    "commas between words": ("dog, cat,tree", "dog, cat, tree"),
    "lines": ("dog\ncat\r\ntree", "dog, cat, tree"),
    "a tag once": ("a dog, the dog, black dogs and a black dog", "dog, black; black dog"),
    "long phrases": (
        "a tall old brown brick clock tower",
        "tall, old, brown, brick, clock, tower; clock tower, brick clock tower",
    ),
    "nouns before nouns": ("red sports cars", "red, sport, car; sports car, red sports car"),
    "emoji": ("🐶🐶 a dog 🐱 runs 👨‍👩‍👧", "dog, run"),
    "other scripts": ("狗在草地上奔跑 собака ไทย هر a dog", "dog"),
    "accents": ("a café\u0301 beside a ﬁsh", "café, fish"),
    "punctuation": ("\"a dog\" (and) 'a cat'... --- _ \\ \x00 \u202e % ?!", "dog, cat"),
    "blank": (" \t\n ", ""),
    "empty": ("", ""),
}
