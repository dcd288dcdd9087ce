-- Which files have another time, but the content that they had?
-- reads: touched (image_id, file_size, modified_ns)
-- returns: nothing; notes size and time of these files
delete from image_files where image_id in (select image_id from touched);

insert into image_files (image_id, file_size, modified_ns)
select image_id, file_size, modified_ns
from touched;
