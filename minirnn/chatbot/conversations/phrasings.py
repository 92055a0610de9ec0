"""Tables of what people say, as compositions of an opener, a core and a closer, and of what the bot replies.

A composition belongs to "train", "valid" or "test" by a hash of its words, with contractions expanded and punctuation
removed. A phrasing of the test therefore never occurs in training, but all of its ordinary words do. Values replace the
slots in braces.
"""

__all__ = [
    "CALLED", "CANCEL_IT", "CHORES", "CLOSERS", "CORRECT_OPENERS", "ERRANDS", "HAS", "IT_IS", "NONSENSE", "NOT_UNDERSTOOD",
    "OPENERS", "PHRASINGS", "REPLIES", "TALK", "THINGS", "WHAT_CALLED", "WHEN",
]  # fmt: skip

OPENERS = {
    "tell": (
        "", "", "", "hey,", "hi,", "hello,", "well,", "so,", "oh,", "ok,", "listen,", "by the way,", "also,",
        "you know,", "just so you know,", "one more thing,", "let me tell you,", "I should say that",
        "for the record,", "guess what,",
    ),
    "ask": (
        "", "", "", "hey,", "well,", "so,", "oh,", "ok,", "now,", "quick question,", "tell me,", "please tell me,",
        "hmm,", "by the way,", "I forgot,", "one question,", "and", "do you remember,", "remind me,",
        "just checking,",
    ),
    "talk": ("", "", "", "", "hey,", "well,", "oh,", "so,", "ok,", "hmm,", "ah,", "now,", "and"),
}
CORRECT_OPENERS = (
    "actually,", "no,", "sorry,", "wait,", "no wait,", "oops,", "I was wrong,", "correction,", "hmm, actually,",
    "let me correct that,", "I made a mistake,", "I changed my mind,", "well, actually,", "oh no,", "not quite,",
)
CLOSERS = {
    "tell": (
        "", "", "", "", ", by the way", ", you know", ", ok", ", in case you wonder", ", just so you know", ", haha",
    ),
    "ask": ("", "", "", "", ", please", ", again", ", by the way", ", do you know", ", I wonder", ", can you tell me"),
    "talk": ("", "", "", "", ", my friend", ", bot", ", really", ", you know"),
}

# What a user says, by topic and act: the cores of "tell" and "ask". "correct" has cores that only correct a value.
PHRASINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "name": {
        "tell": (
            "my name is {v}", "my name's {v}", "I'm {v}", "I am called {v}", "I'm called {v}", "call me {v}",
            "{v} is my name", "you can call me {v}", "people call me {v}", "everybody calls me {v}", "the name's {v}",
            "this is {v}", "I go by {v}", "my friends call me {v}", "it's {v} here", "{v} here",
            "my first name is {v}",
        ),
        "ask": (
            "what's my name", "what is my name", "who am I", "do you know my name", "do you remember my name",
            "can you tell me my name", "what do people call me", "what am I called", "tell me my name", "say my name",
            "do you know who I am", "what did I say my name was", "which name did I give you",
            "do you remember who I am", "what was my name", "do you know what my name is", "can you remember my name", "what did I say my name is", "my name is what", "how do my friends call me",
        ),
    },
    "town": {
        "tell": (
            "I live in {v}", "I'm from {v}", "I come from {v}", "my home town is {v}", "I'm living in {v}",
            "home is {v}", "my home is in {v}", "{v} is my home town", "I was born in {v}", "I grew up in {v}",
            "I moved to {v}", "my house is in {v}", "I have a flat in {v}", "{v} is where I live",
            "the town I live in is {v}",
        ),
        "ask": (
            "where do I live", "where am I from", "what's my home town", "what is my home town", "where's my home",
            "do you know where I live", "do you remember where I live", "which town do I live in",
            "where do I come from", "can you tell me where I live", "where did I say I live", "where did I grow up",
            "what town am I from", "in which town is my home", "which city am I from", "do you know my home town",
            "where is my house",
        ),
    },
    "job": {
        "tell": (
            "I'm {v}", "I am {v}", "I work as {v}", "I'm working as {v}", "my job is being {v}",
            "I earn my living as {v}", "I am {v} by trade", "professionally I'm {v}", "at work I'm {v}",
            "I got a job as {v}", "I make my money as {v}", "by profession I'm {v}", "I have a job as {v}",
            "I do work as {v}", "I've been {v} for years",
        ),
        "ask": (
            "what's my job", "what is my job", "what do I do", "what do I do for a living", "what do I work as",
            "do you know my job", "do you remember my job", "what's my profession", "what do I do for work",
            "what am I by trade", "how do I earn my living", "what kind of job do I have",
            "can you tell me what I do", "what was my job", "do you know what I do for a living",
            "what did I say my job was", "how do I make my money",
        ),
    },
    "food": {
        "tell": (
            "my favourite food is {v}", "I love eating {v}", "I like to eat {v}", "I like eating {v}", "I like {v} best", "I could eat {v} every day",
            "I love {v}", "{v} is my favourite food", "the food I like most is {v}", "I really like {v}",
            "nothing tastes better than {v}", "my favourite dish is {v}", "I'm crazy about {v}", "I always eat {v}",
            "the best food is {v}", "I adore {v}", "for dinner I like {v} most", "I can't live without {v}",
        ),
        "ask": (
            "what's my favourite food", "what is my favourite food", "what do I like to eat", "what food do I like",
            "do you know my favourite food", "do you remember my favourite food", "what do I love eating",
            "what should I cook for me", "which food do I like best", "what's my favourite dish",
            "which dish do I like most", "what was my favourite food", "can you tell me my favourite food",
            "what could I eat every day", "what food am I crazy about",
        ),
    },
    "colour": {
        "tell": (
            "my favourite colour is {v}", "I like the colour {v}", "I love the colour {v}",
            "{v} is my favourite colour", "the colour I like most is {v}", "the best colour is {v}",
            "of all colours I like {v} best", "my colour is {v}", "I like {v} more than any other colour",
            "{v} is the colour I like best", "no colour is nicer than {v}", "the nicest colour is {v}",
            "I prefer the colour {v}", "I always choose the colour {v}",
        ),
        "ask": (
            "what's my favourite colour", "what is my favourite colour", "which colour do I like",
            "what colour do I like best", "do you know my favourite colour", "do you remember my favourite colour",
            "what's the colour I like most", "can you tell me my favourite colour", "which colour do I prefer",
            "what was my favourite colour", "what's my colour", "which colour did I say I like",
            "tell me my favourite colour", "what colour do I love",
        ),
    },
    "age": {
        "tell": (
            "I'm {v} years old", "I am {v} years old", "I'm {v}", "I am {v}", "my age is {v}", "I just turned {v}",
            "I'm aged {v}", "{v} is my age", "I have lived for {v} years", "I'm {v} now", "I turned {v} last week",
            "I'm already {v}", "I was {v} on my last birthday", "I'm only {v}", "I've been {v} since May",
        ),
        "ask": (
            "how old am I", "what's my age", "what is my age", "do you know my age", "do you know how old I am",
            "do you remember my age", "can you tell me how old I am", "what age am I", "how many years old am I",
            "what was my age", "how old did I say I am", "tell me my age", "do you remember how old I am",
            "how many years have I lived",
        ),
    },
    "pet": {
        "tell": (
            "I have {a} {k} called {v}", "I have {a} {k} named {v}", "my {k} is called {v}", "my {k}'s name is {v}",
            "my {k} is {v}", "I've got {a} {k} called {v}", "{v} is my {k}", "the name of my {k} is {v}",
            "I own {a} {k} named {v}", "my {k} is named {v}", "we have {a} {k} called {v}", "I live with {a} {k} called {v}",
            "I call my {k} {v}", "{v} is the name of my {k}",
        ),
        "ask": (
            "what's my pet's name", "what is my pet called", "what's the name of my pet", "what's my {k} called",
            "what's my {k}'s name", "what is the name of my {k}", "do you know my {k}'s name",
            "do you remember my pet's name", "who is my pet", "what do I call my {k}", "what did I call my pet",
            "can you tell me the name of my {k}", "tell me my pet's name", "what was my {k} called",
            "do you know my pet", "how do I call my pet",
        ),
    },
    "kind": {
        "ask": (
            "what pet do I have", "which pet do I have", "what kind of pet do I have", "which animal do I have",
            "what animal do I own", "do I have a pet", "do you know what pet I have", "what sort of animal is my pet",
            "what animal is my pet", "which kind of animal lives with me", "do you remember what pet I have",
        ),
    },
    "relation": {
        "tell": (
            "my {k} is called {v}", "my {k}'s name is {v}", "my {k} is {v}", "{v} is my {k}",
            "I have a {k} called {v}", "I have a {k} named {v}", "the name of my {k} is {v}", "my {k} goes by {v}",
            "we call my {k} {v}", "people call my {k} {v}", "{v} is the name of my {k}", "I've got a {k} called {v}",
            "my {k} is named {v}",
        ),
        "ask": (
            "what's my {k}'s name", "what is my {k}'s name", "what's my {k} called", "who is my {k}",
            "what is my {k} called", "do you know my {k}'s name", "do you remember my {k}'s name",
            "what's the name of my {k}", "what was my {k}'s name", "can you tell me my {k}'s name",
            "do you remember what my {k} is called", "tell me the name of my {k}", "how is my {k} called",
            "which name does my {k} have", "do you know who my {k} is",
        ),
    },
    "timer": {
        "tell": (
            "set a timer for {v}", "set timer for {v}", "timer {v}", "start a timer for {v}", "set a {v} timer", "start a {v} timer", "timer for {v}",
            "{v} timer", "put a timer on for {v}", "I need a timer for {v}", "can you set a timer for {v}",
            "could you start a timer of {v}", "give me a timer for {v}", "wake me in {v}",
            "let the timer run for {v}", "time {v} for me", "I want a timer for {v}",
        ),
        "correct": (
            "make it {v}", "make that {v}", "change it to {v}", "set it to {v}", "make the timer {v}",
            "it should be {v}", "change the timer to {v}", "I meant {v}", "I want {v}", "let it be {v}", "better {v}",
            "{v} is better",
        ),
        "ask": (
            "how long is it", "how long is the timer", "how long does the timer run", "what's the timer set to",
            "how long is my timer", "what is the timer set for", "how much time is on the timer", "is there a timer",
            "what did I set the timer to", "how long will the timer take", "which timer did I set",
            "what timer do I have", "how long did I set it for",
        ),
        "cancel": (
            "cancel the timer", "stop the timer", "delete the timer", "turn off the timer", "remove the timer",
            "no timer any more", "switch the timer off", "forget the timer", "I don't need the timer any more",
            "kill the timer", "cancel my timer",
        ),
    },
    "alarm": {
        "tell": (
            "set an alarm for {v}", "set alarm for {v}", "wake me up at {v}", "wake me at {v}", "set my alarm to {v}", "alarm at {v}",
            "I have to get up at {v}", "I need an alarm at {v}", "can you set an alarm for {v}",
            "could you wake me at {v}", "put an alarm on for {v}", "I want to get up at {v}",
            "let the alarm ring at {v}", "give me an alarm for {v}", "set the alarm clock for {v}",
        ),
        "correct": (
            "make it {v}", "make that {v}", "change it to {v}", "set it to {v}", "make the alarm {v}",
            "it should be {v}", "change the alarm to {v}", "I meant {v}", "wake me at {v} instead", "let it be {v}",
            "better at {v}", "{v} is better",
        ),
        "ask": (
            "when is it", "when is my alarm", "when is the alarm", "what time is my alarm", "what's the alarm set to",
            "is there an alarm", "when will you wake me", "when do I get up", "when does the alarm ring",
            "for when is the alarm set", "what alarm do I have", "at what time do I have to get up",
            "what did I set the alarm to", "when did I want to get up",
        ),
        "cancel": (
            "cancel the alarm", "stop the alarm", "delete the alarm", "turn off the alarm", "remove the alarm",
            "no alarm any more", "switch the alarm off", "forget the alarm", "I don't need the alarm any more",
            "kill the alarm", "cancel my alarm",
        ),
    },
    "reminder": {
        "tell": (
            "remind me to {v}", "please remind me to {v}", "set a reminder to {v}", "I have to {v}",
            "don't let me forget to {v}", "can you remind me to {v}", "could you remind me to {v}",
            "I need a reminder to {v}", "I must not forget to {v}", "remember that I have to {v}",
            "make a note that I have to {v}", "I want you to remind me to {v}", "add a reminder to {v}",
        ),
        "correct": (
            "make it {v}", "change it to {v}", "remind me to {v} instead", "change the reminder to {v}",
            "I meant {v}", "it should be {v}", "I have to {v} instead", "the reminder should be to {v}",
            "make the reminder {v}", "I'd rather {v}",
        ),
        "ask": (
            "what is it", "what's my reminder", "what is my reminder", "what should I remember",
            "what did I want to do", "what do I have to do", "what did I ask you to remind me of",
            "is there a reminder", "what must I not forget", "which reminder did I set", "what's the reminder",
            "what reminder do I have", "what was I going to do",
        ),
        "cancel": (
            "cancel the reminder", "delete the reminder", "remove the reminder", "no reminder any more",
            "forget the reminder", "I don't need the reminder any more", "drop the reminder", "cancel my reminder",
            "stop the reminder", "clear the reminder",
        ),
    },
}
IT_IS = ("it's {v}", "it is {v}", "that's {v}", "that would be {v}", "{v}")  # directly after the bot said that it doesn't know
CALLED = ("his name is {v}", "her name is {v}", "he is called {v}", "she's called {v}", "its name is {v}", "called {v}")
HAS = (  # a pet or a relative, without the name
    "I have {a} {k}", "I've got {a} {k}", "I own {a} {k}", "there is {a} {k} in my family", "I live with {a} {k}",
    "I love my {k}", "my {k} is nice", "I have {a} lovely {k}", "I'm happy to have {a} {k}", "I like my {k}",
)  # fmt: skip
WHAT_CALLED = "what is your {k} called?"
CANCEL_IT = (
    "cancel it", "delete it", "remove it", "stop it", "forget it", "turn it off", "I don't need it any more",
    "drop it",
)

# The bot's replies to a new fact ("tell"), a correction, a question, a question about an unknown fact, and a cancellation.
REPLIES: dict[str, dict[str, str]] = {
    "name": {
        "tell": "nice to meet you, {v}.",
        "correct": "ok, your name is {v}.",
        "ask": "your name is {v}.",
        "unknown": "I don't know your name yet.",
    },
    "town": {
        "tell": "I hear that {v} is lovely.",
        "correct": "ok, your home town is {v}.",
        "ask": "your home town is {v}.",
        "unknown": "I don't know your home town yet.",
    },
    "job": {
        "tell": "so you work as {v}.",
        "correct": "ok, you work as {v}.",
        "ask": "you work as {v}.",
        "unknown": "I don't know your job yet.",
    },
    "food": {
        "tell": "mmm, {v}, good choice.",
        "correct": "ok, your favourite food is {v}.",
        "ask": "your favourite food is {v}.",
        "unknown": "I don't know your favourite food yet.",
    },
    "colour": {
        "tell": "{v} is a fine colour.",
        "correct": "ok, your favourite colour is {v}.",
        "ask": "your favourite colour is {v}.",
        "unknown": "I don't know your favourite colour yet.",
    },
    "age": {
        "tell": "{v} is a good age.",
        "correct": "ok, you are {v} years old.",
        "ask": "you are {v} years old.",
        "unknown": "I don't know how old you are yet.",
    },
    "pet": {
        "tell": "{v} must be a lovely {k}.",
        "correct": "ok, your {k} is called {v}.",
        "ask": "your {k} is called {v}.",
        "unknown": "I don't know about your pet yet.",
    },
    "kind": {"ask": "you have {a} {k}.", "unknown": "I don't know about your pet yet."},
    "relation": {
        "tell": "say hello to {v} from me.",
        "correct": "ok, your {k} is called {v}.",
        "ask": "your {k} is called {v}.",
        "unknown": "I don't know your {k}'s name yet.",
    },
    "timer": {
        "tell": "timer set for {v}.",
        "correct": "ok, timer set for {v}.",
        "ask": "the timer is set for {v}.",
        "unknown": "there is no timer.",
        "cancel": "the timer is off.",
    },
    "alarm": {
        "tell": "alarm set for {v}.",
        "correct": "ok, alarm set for {v}.",
        "ask": "the alarm is set for {v}.",
        "unknown": "there is no alarm.",
        "cancel": "the alarm is off.",
    },
    "reminder": {
        "tell": "I will remind you to {v}.",
        "correct": "ok, I will remind you to {v}.",
        "ask": "you wanted to {v}.",
        "unknown": "there is no reminder.",
        "cancel": "the reminder is gone.",
    },
}

# Small talk, by topic: the reply, and the texts to which it replies.
TALK: dict[str, tuple[str, tuple[str, ...]]] = {
    "hello": (
        "hello! nice to see you.",
        (
            "hi", "hello", "hey", "hello there", "hi there", "hey there", "good morning", "good evening",
            "good afternoon", "greetings", "howdy", "hi bot", "hello bot", "nice to meet you", "hello again",
            "hi again", "good day", "nice to meet you too",
        ),
    ),
    "thanks": (
        "you're welcome.",
        (
            "thanks", "thank you", "thanks a lot", "thank you so much", "thank you very much", "many thanks",
            "cheers", "that's kind of you", "thx", "thanks for that", "great, thanks", "perfect, thank you",
            "I'm grateful", "much appreciated",
        ),
    ),
    "bye": (
        "goodbye! it was nice talking to you.",
        (
            "bye", "goodbye", "bye bye", "see you", "see you later", "see you tomorrow", "good night", "I have to go",
            "I'm leaving", "talk to you later", "farewell", "until next time", "I'm off", "that's all for today",
            "have a nice day",
        ),
    ),
    "how": (
        "I'm fine, thank you.",
        (
            "how are you", "how are you doing", "how do you do", "how's it going", "are you ok", "how do you feel",
            "what's up", "how are things", "how is life", "are you well", "how have you been", "how are you today",
            "are you happy",
        ),
    ),
    "well": (
        "I'm glad to hear that.",
        (
            "I'm fine", "I'm happy", "I'm good", "I'm well", "I feel great", "I'm fine too", "I'm having a good day",
            "life is good", "I'm doing well", "I'm in a good mood", "I had a great day", "all is well",
            "today is a good day", "I feel good",
        ),
    ),
    "unwell": (
        "I'm sorry to hear that.",
        (
            "I'm sad", "I'm tired", "I'm bored", "I'm sick", "I feel bad", "I'm hungry", "I'm not well",
            "I had a bad day", "I'm angry", "life is hard", "I'm in a bad mood", "I'm lonely", "I have a headache",
            "I slept badly", "I feel terrible",
        ),
    ),
    "you": (
        "I'm a small recurrent network.",
        (
            "who are you", "what's your name", "what are you", "are you a robot", "are you human", "tell me about yourself", "are you a person",
            "what is your name", "do you have a name", "are you real", "what should I call you", "are you alive",
            "are you a computer", "who made you",
        ),
    ),
    "able": (
        "I remember what you tell me, and I set timers, alarms and reminders.",
        (
            "what can you do", "what do you do", "how can you help me", "what are you good at", "help", "help me",
            "can you help me", "what can I ask you", "what do you know", "how does this work", "what can I say",
            "what are you for", "what can we do",
        ),
    ),
    "joke": (
        "why did the gradient vanish? nobody carried it.",
        (
            "tell me a joke", "do you know a joke", "make me laugh", "say something funny", "I want to hear a joke",
            "be funny", "can you tell jokes", "a joke", "another joke", "can you make me laugh",
            "tell me something funny", "do you know any jokes",
        ),
    ),
    "weather": (
        "I can't look outside, I live in a terminal.",
        (
            "how is the weather", "what's the weather like", "is it raining", "will it rain today",
            "is it cold outside", "is it sunny", "what's the weather today", "do I need an umbrella", "is it warm",
            "where do you live", "where are you", "where are you from",
        ),
    ),
    "praise": (
        "that's kind, thank you.",
        (
            "you're great", "you're smart", "I like you", "well done", "good job", "you're funny", "you're nice",
            "good bot", "you're the best", "you're very helpful", "that's right", "I love you", "you did well",
            "that was good", "you're clever", "nice work",
        ),
    ),
    "blame": (
        "I'm sorry, I do my best.",
        (
            "you're stupid", "that's wrong", "you're wrong", "you don't understand me", "I don't like you", "bad bot",
            "you're useless", "that was wrong", "you're not very smart", "this is bad", "you're boring",
            "you don't get it", "I hate you", "wrong",
        ),
    ),
    "yes": (
        "ok.",
        (
            "ok", "yes", "no", "sure", "alright", "maybe", "I see", "right", "fine", "good", "of course", "yeah",
            "great", "nice", "cool", "that's good", "exactly", "interesting", "I think so", "let me think",
            "never mind", "sorry", "I'm sorry", "no problem",
        ),
    ),
    "age of bot": (
        "I was trained not long ago.",
        (
            "how old are you", "what's your age", "when were you born", "are you old", "are you young",
            "when is your birthday", "what is your age", "when were you made", "how many years old are you",
            "how long have you lived", "do you have a birthday",
        ),
    ),
    "taste of bot": (
        "I like long sequences.",
        (
            "what do you like", "what's your favourite food", "what's your favourite colour", "do you eat",
            "do you like music", "what food do you like", "which colour do you like", "do you have a pet",
            "do you have a family", "what's your job", "do you like me", "what do you love", "do you have a sister",
            "do you like animals", "what do you eat",
        ),
    ),
    "clock": (
        "I have no clock, sorry.",
        (
            "what time is it", "what's the time", "do you know what time it is", "what day is it", "what's the date",
            "what day is today", "which day is it", "how late is it", "what year is it", "tell me the time",
            "can you tell me the time", "do you have the time",
        ),
    ),
    "about me": (
        "ask me for one thing at a time, for your name, say.",
        (
            "what do you know about me", "what do you remember", "what did I tell you", "do you remember me",
            "do you know me", "what have I told you", "do you remember anything", "tell me what you know",
            "do you know anything about me", "what do you remember about me", "tell me something about me",
            "what do you know of me",
        ),
    ),
    "story": (
        "I see, tell me more.",
        (
            "it's raining today", "I went to the park yesterday", "I watched a film last night",
            "the bus was late again", "I'm learning about networks", "we had guests on Sunday",
            "I bought a new phone", "the train was full", "I read a good book", "my car broke down",
            "I walked home today", "the sun is shining", "I went for a run", "there was a lot of traffic",
            "I had coffee this morning", "we went to the beach", "the shop was closed", "I'm going on holiday soon",
            "it's late", "I saw a bird in the garden", "my phone is broken", "I have a lot of work",
            "I'm cooking now", "I listened to music",
        ),
    ),
}
NOT_UNDERSTOOD = "sorry, I didn't understand that."
NONSENSE = (  # around made-up words
    "{w}", "{w} {w}", "{w} {w} {w}", "{w} {w} {w} {w}", "{w} {w} {w} {w} {w} {w}", "the {w} of the {w}",
    "{w} is {w} {w}", "who is {w}", "what is {w}", "where is the {w}", "why does the {w} {w}", "can you {w} the {w}",
    "{w} the {w} and {w}", "a {w} {w} in the {w} {w}", "how many {w} are in a {w}", "do you {w}", "please {w}",
    "{w} my {w}", "the {w} is {w}", "when was {w} {w}", "the {w} {w} to {w} with {w}", "{w} 1 {w} 2",
    "if {w} then {w}", "{w} and {w}", "is {w} {w}", "{w} {w} the {w} {w} for {w} {w}", "what does {w} mean",
    "open the {w}", "play {w}", "how do I {w} the {w}", "{w} or not",
)
ERRANDS = ("buy {}", "get {}", "buy some {}", "order {}", "look for {}", "pick up {}")  # reminders
CHORES = (
    "call my {k}", "visit my {k}", "email my {k}", "feed the {p}", "wash the {p}", "clean the kitchen", "water the plants",
    "pay the rent", "call the doctor", "take out the trash", "do the laundry", "write a letter", "wash the car",
)
WHEN = (" tomorrow", " tonight", " at {}", " this evening", " later today")
THINGS = (  # in nonsense
    "garden", "phone", "park", "film", "bus", "train", "book", "car", "sun", "shop", "holiday", "bird", "music", "coffee",
    "beach", "traffic", "kitchen", "letter",
)
