"""Small made-up files in the layouts in which the field publishes its annotations."""

EPIC100 = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,"
    "stop_timestamp,start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,"
    "all_nouns,all_noun_classes\n"
    "P50_101_0,P50,P50_101,00:00:02.000,00:00:02.00,00:00:04.00,100,200,"
    '"take pan, quickly",take,0,pan,5,"[\'pan\', \'hob\']","[5, 24]"\n'
    "P50_101_1,P50,P50_101,00:01:05.100,00:01:05.00,00:01:06.50,3250,3325,"
    "put pan,put-down,1,pan,5,['pan'],[5]\n"
    "P51_01_0,P51,P51_01,00:00:10.000,00:00:10.00,00:00:12.00,599,719,"
    "wash pan,wash,2,pan,5,['pan'],[5]\n"
)
EPIC100_TEST = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,"
    "stop_timestamp,start_frame,stop_frame\n"
    "P50_102_0,P50,P50_102,00:00:00.100,00:00:00.10,00:00:01.00,5,50\n"
    "P50_102_1,P50,P50_102,00:00:05.102,00:00:04.97,00:00:05.75,248,287\n"
)
UDA = "uid," + EPIC100.replace("\nP5", "\n7,P5")
EPIC55 = (
    "uid,participant_id,video_id,narration,start_timestamp,stop_timestamp,start_frame,"
    "stop_frame,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
    "0,P50,P50_01,open door,00:00:00.14,00:00:03.37,8,202,open,2,door,8,['door'],[8]\n"
    "7,P50,P50_01,turn,00:00:04.37,00:00:06.17,262,370,turn-on,12,hob,1,['hob'],[1]\n"
)
EPIC55_TEST = (
    "uid,participant_id,video_id,start_timestamp,stop_timestamp,start_frame,stop_frame\n"
    "1924,P50,P50_11,00:00:00.00,00:00:01.89,1,113\n"
)
RULSTM = (
    "00330, P01_02, 0000000152, 0000000205, 000, 004, 0194\n"
    "00331, P01_02, 0000000258, 0000000278, 002, 025, 1245\n"
)
RULSTM_TEST = "P50_102_0,P50_102,85,116\nP50_102_1,P50_102,149,172\n"
EGTEA = (
    "## Clip ID (Unique, used only internally); Clip Prefix (Unique); Video Session; "
    "Starting Time (ms);  Ending Time (ms); Action Label; Verb Label; Noun Label(s)\n"
    "1; P50-R01-Made-2000-4000; P50-R01-Made; 2000; 4000; Cut tomato; Cut; tomato\n"
    "2; P50-R01-Made-9010-9990; P50-R01-Made; 9010; 9990; Divide/Pull Apart onion; "
    "Divide/Pull Apart; onion, bowl\n"
)
EGTEA_SPLIT = (
    "P50-R01-Made-2000-4000-F000048-F000096 3 2 10 12 \n"
    "P50-R01-Made-9010-9990-F000216-F000240 5 4 11 \n"
)
TABLE = "video,start_frame,stop_frame,action\na,0,9,3\na,50,80,4\n"
INFO = (
    "video_id,duration,fps,resolution\n"
    "P50_101,100.5,50.0,1920x1080\nP51_01,20.0,59.9400599400599,1920x1080\n"
)
VERBS = "id,key,instances\n0,take,\"['take', 'grab']\"\n"
ACTIONS = "id,action,verb,noun\n0, take_pan,0,5\n"
TAIL = "verb\n3\n7\n"
EGO4D_LTA = (
    '{"version": "v2", "date": "230208", "description": "LTA", "split": "train", '
    '"clips": [{"action_clip_start_sec": 2.0, "action_clip_end_sec": 5.0, '
    '"action_clip_start_frame": 60, "action_clip_end_frame": 150, "action_idx": 0, '
    '"verb": "cut_(trim,_slice)", "noun": "onion", "verb_label": 7, "noun_label": 2, '
    '"clip_uid": "c-1", "clip_id": 12, "video_uid": "v-1", '
    '"clip_parent_start_sec": 30.0, "clip_parent_end_sec": 330.0, '
    '"clip_parent_start_frame": 900, "clip_parent_end_frame": 9900, '
    '"interval_start_sec": 0.0, "interval_end_sec": 300.0, '
    '"interval_start_frame": 0, "interval_end_frame": 9000}]}'
)

SEGMENTS = {  # what read_segments calls the format -> content
    "epic100": EPIC100,
    "epic100_unlabeled": EPIC100_TEST,
    "epic55": EPIC55,
    "epic55_unlabeled": EPIC55_TEST,
    "rulstm": RULSTM,
    "rulstm_unlabeled": RULSTM_TEST,
    "egtea": EGTEA,
    "egtea_split": EGTEA_SPLIT,
    "table": TABLE,
}
OTHERS = {  # function that reads it -> content
    "read_video_info": INFO,
    "read_classes": VERBS,
    "read_actions": ACTIONS,
    "read_class_list": TAIL,
    "read_framewise": "0 SIL\n1 take_cup\n",
    "validate_submission": '{"version": "0.2"}',
    "read_ego4d": EGO4D_LTA,
}
